"""Adding candidates to a gallery: decode in threads, encode in batches, and commit every few seconds."""

import dataclasses
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
from tqdm.auto import tqdm

from processing.notes import is_quiet
from processing.read_ahead import read_ahead
from processing.video import open_frames

from ..drawing.thumbnail import jpeg_thumbnail
from ..errors import UserError
from ..models.encoder import Encoder, Inputs, Stopwatch
from .candidates import Candidate, Source
from .options import AddOptions
from .store.catalogue import VIDEO, Catalogue, Item, put_item, read_state, select_items, source_number, write_state
from .store.state import State
from .store.storage import Storage


@dataclass
class AddReport:
    """What became of the candidates.

    Attributes:
        added: New items.
        replaced: Items whose file or description had changed.
        unchanged: Items that had not changed.
        broken: Candidates that could not be used, and why.
        animations: Items of which only the first picture was taken.
        remarks: Sentences that count the files that were left out by their endings.
        busy: A sentence about how busy the model was, if that took long.
    """

    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    broken: list[tuple[str, str]] = field(default_factory=list)
    animations: int = 0
    remarks: list[str] = field(default_factory=list)
    busy: str = ""


@dataclass
class _New:
    """An item on its way into the gallery."""

    candidate: Candidate
    item: Item
    thumbnail: bytes | None
    inputs: Inputs
    views: np.ndarray | None = None


@dataclass
class _Prepared:
    """A chunk of a source, read and decoded."""

    count: int
    new: list[_New] = field(default_factory=list)
    unchanged: int = 0
    touched: list[Item] = field(default_factory=list)
    broken: list[tuple[str, str]] = field(default_factory=list)
    animations: int = 0


_Job = tuple[Sequence[Candidate], Mapping[str, Item]]


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

    def add(self, source: Source, descriptions: Mapping[str, str] | None = None) -> AddReport:
        """Add new candidates, replace changed ones, and leave the others as they are.

        Args:
            source: Candidates.
            descriptions: More descriptions, by the candidates' keys.
        """
        report = AddReport(broken=list(source.left_out), remarks=list(source.remarks))
        self._at_work = Stopwatch()
        waiting: list[_New] = []
        touched: list[Item] = []
        committed = time.monotonic()
        jobs = self._jobs(source, descriptions or {})
        with (
            closing(read_ahead(self._prepare, jobs, self.workers, self.processes)) as pieces,
            tqdm(total=source.count, desc="Indexing", unit="item", disable=source.count <= 1 or is_quiet()) as progress,
        ):
            for prepared in pieces:
                report.unchanged += prepared.unchanged
                report.broken += prepared.broken
                report.animations += prepared.animations
                touched += prepared.touched
                waiting += self._encoded(prepared.new, report)
                if time.monotonic() - committed >= self.seconds:
                    self._commit(source.kind, waiting, touched, report)
                    waiting, touched, committed = [], [], time.monotonic()
                progress.update(prepared.count)
            self._commit(source.kind, waiting, touched, report)
        report.busy = self._at_work.busy()
        return report

    def _jobs(self, source: Source, descriptions: Mapping[str, str]) -> Iterator[_Job]:
        """Yield chunks of a source with the existing items of their candidates."""
        for chunk in source.chunks(self.batch_size):
            chunk = [_described(candidate, descriptions) for candidate in chunk]
            yield chunk, self._known(chunk)

    def _known(self, chunk: Sequence[Candidate]) -> dict[str, Item]:
        with self.catalogue.reading() as connection:
            return _known(connection, chunk)

    def _prepare(self, job: _Job) -> _Prepared:
        """Read and decode a chunk; runs in a thread or a process."""
        chunk, known = job
        prepared = _Prepared(len(chunk))
        for candidate in chunk:
            existing = known.get(candidate.key)
            try:
                item = _as_item(candidate, existing)
                if _differs(item, existing):
                    thumbnail, inputs, moves = self._open(candidate)
                    prepared.new.append(_New(candidate, item, thumbnail, inputs))
                    prepared.animations += moves
                    continue
            except UserError as error:
                prepared.broken.append((candidate.id, getattr(error, "reason", str(error))))
                continue
            prepared.unchanged += 1
            if existing is not None and (item.size, item.time) != (existing.size, existing.time):
                prepared.touched.append(dataclasses.replace(existing, size=item.size, time=item.time))
        return prepared

    def _open(self, candidate: Candidate) -> tuple[bytes | None, Inputs, bool]:
        """Return an item's thumbnail, the model's inputs for it, and whether it is the first picture of an animation.

        Pictures are decoded once, one at a time, and not in more detail than is needed.
        """
        row = candidate.as_row()
        if row.get("visual_features") is not None:
            return None, self.encoder.prepare(row), False
        if candidate.kind == VIDEO and not self.encoder.takes_videos:
            raise UserError("It is a video, but the gallery's model takes pictures only.")
        if candidate.kind == VIDEO:
            [frame] = open_frames(row["video"], 1, self.encoder.background)
            return jpeg_thumbnail(frame), self.encoder.prepare(row), False
        row["image"] = picture = self.encoder.open_picture(row["image"], candidate.id)
        moves = "animation" in picture.info
        return jpeg_thumbnail(picture), self.encoder.prepare(row), moves

    def _encoded(self, news: list[_New], report: AddReport) -> list[_New]:
        if not news:
            return []
        inputs, descriptions = [new.inputs for new in news], [new.item.description for new in news]
        with self._at_work:
            views = self.encoder.views(inputs, descriptions, self.batch_size)
        usable = []
        for new, item_views in zip(news, views, strict=True):
            new.views, new.inputs = item_views, {}
            if np.isfinite(item_views).all():
                usable.append(new)
            else:
                report.broken.append((new.candidate.id, "The model returns infinite or undefined numbers for it."))
        return usable

    def _commit(self, kind: str, waiting: list[_New], touched: Sequence[Item], report: AddReport) -> None:
        if not waiting and not touched:
            return
        with self.catalogue.writing() as connection:
            for item in touched:
                connection.execute(
                    "UPDATE items SET size = ?, time = ? WHERE number = ?", (item.size, item.time, item.number)
                )
            # Another process may have added them meanwhile.
            known = _known(connection, [new.candidate for new in waiting])
            news = [new for new in waiting if _differs(new.item, known.get(new.candidate.key))]
            state = self._write(connection, kind, news, known) if news else None
        replaced = [known[new.candidate.key].position for new in news if new.candidate.key in known]
        if state is not None:
            self.storage.forget(state, replaced)
        report.added += len(news) - len(replaced)
        report.replaced += len(replaced)
        report.unchanged += len(waiting) - len(news)

    def _write(
        self, connection: sqlite3.Connection, kind: str, news: Sequence[_New], known: Mapping[str, Item]
    ) -> State:
        state = read_state(connection, str(self.catalogue.folder))
        per_item = [new.views for new in news if new.views is not None]
        views, counts = np.concatenate(per_item), np.array([len(views) for views in per_item])
        checksums = self.storage.append(state, views, counts)
        for offset, (new, count, checksum) in enumerate(zip(news, counts.tolist(), checksums, strict=True)):
            item = dataclasses.replace(
                new.item,
                source=source_number(connection, kind, new.candidate.location),
                position=state.positions + offset,
                views=count,
                checksum=checksum,
            )
            put_item(connection, item, new.thumbnail)
        replaced = [known[new.candidate.key] for new in news if new.candidate.key in known]
        gaps = [(item.position, item.views) for item in replaced]
        connection.executemany("INSERT INTO removed VALUES (?, ?)", gaps)
        longest = float(np.linalg.norm(views.astype(np.float64), axis=1).max())
        state = dataclasses.replace(
            state,
            positions=state.positions + len(news),
            views=state.views + len(views),
            view_count=max(state.view_count, int(counts.max())),
            items=state.items + len(news) - len(replaced),
            longest_view=max(state.longest_view, longest),
            version=state.version + 1,
        )
        write_state(connection, state)
        return state


def _described(candidate: Candidate, descriptions: Mapping[str, str]) -> Candidate:
    if candidate.description is not None or candidate.key not in descriptions:
        return candidate
    return dataclasses.replace(candidate, description=descriptions[candidate.key])


def _known(connection: sqlite3.Connection, chunk: Sequence[Candidate]) -> dict[str, Item]:
    """Return the existing items of the candidates, by their keys."""
    known: dict[str, Item] = {}
    for location in {candidate.location for candidate in chunk}:
        ids = [candidate.id for candidate in chunk if candidate.location == location]
        for start in range(0, len(ids), 500):
            block = ids[start : start + 500]
            marks = ",".join("?" * len(block))
            condition = f"source = (SELECT number FROM sources WHERE location = ?) AND id IN ({marks})"
            for item in select_items(connection, condition, [location, *block]):
                known[f"{location}/{item.id}"] = item
    return known


def _as_item(candidate: Candidate, known: Item | None) -> Item:
    """Return a candidate as an item; its file is not read if size and time are those of the existing item.

    Raises:
        UserError: If the file cannot be read.
    """
    size, changed = candidate.stamp()
    is_unchanged = known is not None and bool(changed) and (size, changed) == (known.size, known.time)
    digest = known.hash if known is not None and is_unchanged else candidate.hash()
    description = candidate.description
    if known is not None and description is None and digest == known.hash:
        # A run without descriptions keeps those of an earlier run.
        description = known.description
    return Item(candidate.id, candidate.path, candidate.kind, digest, size, changed, description)


def _differs(item: Item, known: Item | None) -> bool:
    return known is None or (item.hash, item.description, item.kind) != (known.hash, known.description, known.kind)
