"""Adding candidates to a gallery: decode in threads, encode in batches, and commit every few seconds."""

import dataclasses
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from tqdm.auto import tqdm

from processing.facts import Facts
from processing.notes import is_quiet
from processing.read_ahead import read_ahead
from processing.screen import shown

from ..errors import UserError
from ..models.encoder import Encoder, Stopwatch
from .candidates import Candidate, Source
from .incoming import Known, LongVideo, New, Part, Prepared, differs, known_items, prepare
from .known import Descriptions
from .options import AddOptions
from .reuse import KnownViews, content_of
from .store.catalogue import Catalogue, Item, put_item, read_state, source_number, sources_of, write_state
from .store.maintenance import delete_item
from .store.moments import put_moment
from .store.state import State
from .store.storage import Storage


@dataclass
class AddReport:
    """What became of the candidates.

    Attributes:
        added: New items.
        replaced: Items whose file or description had changed.
        unchanged: Items that had not changed.
        moved: Items whose files were moved or renamed; they keep their views.
        broken: Candidates that could not be used, and why.
        animations: Items of which only the first picture was taken.
        unreadable: Items with a date or a place in their files that cannot be read.
        written: Pictures in which writing was read.
        unread: Pictures in which it could not be read.
        remarks: Sentences that count the files that were left out by their endings.
        ignored: Number of files that were left out of a folder on purpose, by reason.
        busy: A sentence about how busy the model was, if that took long.
    """

    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    moved: int = 0
    broken: list[tuple[str, str]] = field(default_factory=list)
    animations: int = 0
    unreadable: list[str] = field(default_factory=list)
    written: int = 0
    unread: int = 0
    remarks: list[str] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    busy: str = ""

    @classmethod
    def of(cls, source: Source) -> Self:
        """Return what is known of a source before it is added."""
        ignored = Counter(source.ignored.counts if source.ignored else ())
        return cls(broken=list(source.left_out), remarks=list(source.remarks), ignored=ignored)

    def join(self, other: "AddReport") -> None:
        """Add what became of another source."""
        self.busy = self.busy or other.busy
        for name in ("added", "replaced", "unchanged", "moved", "animations", "written", "unread"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.broken += other.broken
        self.unreadable += other.unreadable
        self.remarks += other.remarks
        self.ignored += other.ignored


_Job = tuple[Sequence[Candidate], Known]


class Adder:
    """Adds sources to a gallery.

    Args:
        catalogue: The gallery's catalogue.
        storage: Keeps its views.
        encoder: Its model.
        batch_size: Pictures per batch. Batches are cut by a candidate's index in its source, so that after a run was
            stopped and resumed each picture has been in the same batch, and has the same views to the last bit.
        workers: Decoding threads, or processes.
        processes: Whether to decode in processes.
        seconds: Time between commits.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        storage: Storage,
        encoder: Encoder,
        batch_size: int = AddOptions.batch_size,
        workers: int = AddOptions.workers,
        processes: bool = AddOptions.processes,
        seconds: float = AddOptions.commit_seconds,
    ) -> None:
        self.catalogue = catalogue
        self.storage = storage
        self.encoder = encoder
        self.batch_size = batch_size
        self.workers = workers
        self.processes = processes
        self.seconds = seconds
        self._known_views = KnownViews(catalogue, storage)

    def add(self, source: Source, descriptions: Mapping[str, str] | None = None) -> AddReport:
        """Add new candidates, replace changed ones, and leave the others as they are.

        Args:
            source: Candidates.
            descriptions: More descriptions, by the keys of candidates and of shots.
        """
        report = AddReport.of(source)
        self._at_work = Stopwatch()
        with self.catalogue.reading() as connection:
            self._shots = read_state(connection, str(self.catalogue.folder)).shots
        waiting: list[New] = []
        touched: list[Item] = []
        committed = time.monotonic()
        jobs = self._jobs(source, Descriptions(descriptions or {}))
        with (
            closing(read_ahead(self._prepare, jobs, self.workers, self.processes)) as pieces,
            tqdm(total=source.count, desc="Indexing", unit="item", disable=source.count <= 1 or is_quiet()) as progress,
        ):
            for prepared in pieces:
                report.unchanged += prepared.unchanged
                report.broken += prepared.broken
                report.animations += prepared.animations
                touched += prepared.touched
                waiting += self._encoded(prepared, report)
                if time.monotonic() - committed >= self.seconds:
                    self._commit(source.kind, waiting, touched, report)
                    waiting, touched, committed = [], [], time.monotonic()
                progress.update(prepared.count)
            self._commit(source.kind, waiting, touched, report)
        report.busy = self._at_work.busy()
        return report

    def _jobs(self, source: Source, descriptions: Descriptions) -> Iterator[_Job]:
        """Yield chunks of a source with the existing items of their candidates."""
        for chunk in source.chunks(self.batch_size):
            chunk = [descriptions.added_to(candidate) for candidate in chunk]
            yield chunk, self._known(chunk)

    def _known(self, chunk: Sequence[Candidate]) -> Known:
        with self.catalogue.reading() as connection:
            return known_items(connection, chunk)

    def _prepare(self, job: _Job) -> Prepared:
        """Read and decode a chunk; runs in a thread or a process."""
        return prepare(*job, self.encoder, self._shots)

    def _encoded(self, prepared: Prepared, report: AddReport) -> list[New]:
        """Encode a chunk, and return what can be used of it."""
        if prepared.new:
            self._encode([entry for new in prepared.new for entry in new.items()])
        news = [*prepared.new, *(new for video in prepared.long for new in self._divided(video, report))]
        usable = []
        report.unreadable += [new.candidate.id for new in news if new.facts.unreadable]
        for new in news:
            if all(part.is_usable for part in new.parts):
                usable.append(new)
            else:
                report.broken.append((new.candidate.id, "The model returns infinite or undefined numbers for it."))
        return usable

    def _divided(self, video: LongVideo, report: AddReport) -> list[New]:
        """Encode the shots of a long video, a few at a time, whatever its length; nothing of it if one is broken."""
        blocks = video.blocks(max(1, self.batch_size // self.encoder.frames))
        parts: list[Part] = []
        try:
            with closing(read_ahead(lambda shots: video.open(shots, self.encoder), blocks, self.workers)) as pieces:
                title = f"Shots of {shown(video.candidate.path)}"
                for block in tqdm(pieces, title, len(blocks), leave=False, disable=len(blocks) <= 1 or is_quiet()):
                    self._encode(list(New(video.candidate, video.item, block, Facts()).items()))
                    parts += block
        except UserError as error:
            report.broken.append((video.candidate.id, getattr(error, "reason", str(error))))
            return []
        return [New(video.candidate, video.item, parts, video.candidate.facts())]

    def _encode(self, entries: Sequence[tuple[Item, Part]]) -> None:
        """Give each part its views: those that the gallery has of the same content, or new ones."""
        views = self._known_views.find(item for item, _ in entries)
        first = {content_of(item): part for item, part in reversed(entries) if content_of(item) not in views}
        fresh = [(item, part) for item, part in entries if first.get(content_of(item)) is part]
        if fresh:
            inputs, descriptions = [part.inputs for _, part in fresh], [item.description for item, _ in fresh]
            with self._at_work:
                encoded = self.encoder.views(inputs, descriptions, self.batch_size)
            own = {content_of(item): item_views for (item, _), item_views in zip(fresh, encoded, strict=True)}
            self._known_views.remember(own)
            views |= own
        for item, part in entries:
            part.views, part.inputs = views[content_of(item)], {}

    def _commit(self, kind: str, waiting: list[New], touched: Sequence[Item], report: AddReport) -> None:
        if not waiting and not touched:
            return
        with self.catalogue.writing() as connection:
            for item in touched:
                connection.execute(
                    "UPDATE items SET size = ?, time = ? WHERE number = ?", (item.size, item.time, item.number)
                )
            # Another process may have added them meanwhile.
            known = known_items(connection, [new.candidate for new in waiting])
            news = [new for new in waiting if differs(new.candidate, new.item, known.get(new.candidate.key, ()))]
            replaced = [item for new in news for item in known.get(new.candidate.key, ())]
            state = self._write(connection, kind, news, replaced) if news else None
        if state is not None:
            self.storage.forget(state, [item.position for item in replaced])
            self._known_views.committed()
        existing = sum(new.candidate.key in known for new in news)
        report.added += len(news) - existing
        report.replaced += existing
        report.unchanged += len(waiting) - len(news)

    def _write(self, connection: sqlite3.Connection, kind: str, news: Sequence[New], replaced: Sequence[Item]) -> State:
        state = read_state(connection, str(self.catalogue.folder))
        entries = [(new, item, part) for new in news for item, part in new.items()]
        per_item = [part.views for _, _, part in entries if part.views is not None]
        views, counts = np.concatenate(per_item), np.array([len(views) for views in per_item])
        checksums = self.storage.append(state, views, counts)
        kept = {(new.candidate.location, item.id) for new, item, _ in entries}
        sources = {number: location for number, (_, location) in sources_of(connection).items()}
        for item in replaced:
            if (sources[item.source], item.id) in kept:
                connection.execute("INSERT INTO removed VALUES (?, ?)", (item.position, item.views))
            else:
                # Its video is divided in another way now.
                delete_item(connection, item.number)
        for offset, ((new, item, part), count, checksum) in enumerate(
            zip(entries, counts.tolist(), checksums, strict=True)
        ):
            item = dataclasses.replace(
                item,
                source=source_number(connection, kind, new.candidate.location),
                position=state.positions + offset,
                views=count,
                checksum=checksum,
            )
            put_moment(connection, put_item(connection, item, part.thumbnail, new.facts), part.moment)
        longest = float(np.linalg.norm(views.astype(np.float64), axis=1).max())
        state = dataclasses.replace(
            state,
            positions=state.positions + len(entries),
            views=state.views + len(views),
            view_count=max(state.view_count, int(counts.max())),
            items=state.items + len(entries) - len(replaced),
            longest_view=max(state.longest_view, longest),
            version=state.version + 1,
        )
        write_state(connection, state)
        return state
