"""What the page shows, made ready in the background so that the page opens immediately."""

import os
import re
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from space_errors import SpaceError
from space_first_run import Chooser
from space_languages import SIX, LanguageDetector, readable
from space_model import Retriever
from space_search import Searcher
from space_sources import SAMPLES, Source, open_source
from space_store import PictureStore

MODEL_FOLDER = Path(__file__).parent / "model"
MOST_IDEAS = 6
LONGEST_IDEA = 90


@dataclass(frozen=True)
class Settings:
    """What is shown.

    Attributes:
        model: Folder or Hub name of a model; empty for the folder `model` next to the app.
        gallery: Folder or Hub name of pictures; empty for built-in ones.
    """

    model: str = ""
    gallery: str = ""

    @classmethod
    def from_environment(cls) -> "Settings":
        """Read `LECCR_MODEL` and `LECCR_GALLERY`."""
        return cls(*(os.environ.get(f"LECCR_{name}", "").strip() for name in ("MODEL", "GALLERY")))


@dataclass(frozen=True)
class Ready:
    """Everything that the page needs.

    Attributes:
        searcher: The pictures.
        title: What they are.
        ideas: Queries to offer: each some texts that mean the same, by language. May be none.
        detector: Tells the language of a query.
        notes: What a visitor should know, such as pictures that were left out.
    """

    searcher: Searcher
    title: str
    ideas: Sequence[Mapping[str, str]]
    detector: LanguageDetector
    notes: Sequence[str] = ()

    @property
    def retriever(self) -> Retriever:
        """The model."""
        return self.searcher.retriever

    @property
    def languages(self) -> list[str]:
        """The model's languages, the six of the papers first."""
        known = self.detector.languages
        return [code for code in SIX if code in known] + [code for code in known if code not in SIX]


Say = Callable[[str], None]
Build = Callable[[Say], Ready]


class Setup:
    """Builds what the page needs, in the background or while the caller waits.

    Args:
        build: Returns what is needed; it is given a function to report progress.
        chooser: Chooses a folder first, in the page, which then starts the building.
    """

    def __init__(self, build: Build, chooser: Chooser | None = None) -> None:
        self._build = build
        self.chooser = chooser
        self._thread: threading.Thread | None = None
        self._ready: Ready | None = None
        self.status = "Starting …"
        self.failed = False

    def start(self) -> threading.Thread:
        """Build in the background; an error becomes the status."""
        self._thread = threading.Thread(target=self._run, name="setup", daemon=True)
        self._thread.start()
        return self._thread

    def finish(self) -> "Setup":
        """Build now; an error is raised."""
        self._ready = self._build(self._say)
        return self

    @property
    def is_waiting(self) -> bool:
        """Whether a folder has to be chosen first."""
        return self.chooser is not None and self._thread is None and not self.is_ready

    @property
    def is_ready(self) -> bool:
        """Whether everything is built."""
        return self._ready is not None

    @property
    def ready(self) -> Ready:
        """What was built.

        Raises:
            SpaceError: If it is not ready yet, or never will be.
        """
        if self._ready is None:
            raise SpaceError(self.status if self.failed else f"Not ready yet. {self.status} Try again in a moment.")
        return self._ready

    def _say(self, status: str) -> None:
        self.status = status

    def _run(self) -> None:
        try:
            self.finish()
        except SpaceError as error:
            self.failed, self.status = True, str(error)
        except Exception:
            # Visitors read a sentence, the owner the whole story in the log.
            traceback.print_exc()
            self.failed, self.status = True, "The app could not be started; its owner finds the reason in the log."
        if self.failed:
            print(self.status)


def build_ready(
    settings: Settings,
    say: Say,
    load: Callable[[str], Retriever] = Retriever.load,
    train: Callable[[Say], tuple[str, str]] | None = None,
) -> Ready:
    """Load a model and encode the pictures.

    Args:
        settings: What is shown.
        say: Told about progress.
        load: Loads the model of a name.
        train: Returns the folders of a model and of pictures to show, for when no model is named.

    Raises:
        SpaceError: If there is no model or no gallery of the names given, or nothing to fall back on.
    """
    source = open_source(settings.gallery) if settings.gallery else None
    model, pictures = settings.model, str(SAMPLES)
    if not model and MODEL_FOLDER.is_dir():
        model = str(MODEL_FOLDER)
    if not model:
        if train is None:
            raise SpaceError(
                "No model is set. Set the variable LECCR_MODEL to the Hub name or the folder of a LECCR model, or put "
                "one into the folder model next to app.py."
            )
        model, pictures = train(say)
    say("Loading the model …")
    retriever = load(model)
    say("Opening the pictures …")
    return ready_from(retriever, source or replace(open_source(pictures), title="built-in Scenes"), say)


def ready_from(retriever: Retriever, source: Source, say: Say) -> Ready:
    """Encode the pictures of a source.

    Raises:
        SpaceError: If none of them can be used.
    """
    store, total = PictureStore(retriever, shared=True), len(source.pictures)
    problems = store.add(source.pictures, lambda done: say(f"Encoding the pictures: {done:,} of {total:,} …"))
    if not len(store):
        raise SpaceError("None of the gallery's pictures can be read.")
    for problem in problems:
        print(f"Left out: {problem}")
    notes = [f"{len(problems):,} pictures cannot be read and are left out."] if problems else []
    if source.unreadable:
        names = ", ".join(source.unreadable[:3]) + (" …" if len(source.unreadable) > 3 else "")
        print(f"Left out, as they cannot be read: {', '.join(source.unreadable)}")
        notes.append(f"{len(source.unreadable):,} folders cannot be read and are left out: {names}.")
    if source.left_out:
        notes.append(f"Only the first {total:,} pictures are shown; {source.left_out:,} more are left out.")
    descriptions = [picture.description for picture in source.pictures if picture.description]
    return make_ready(store, source.title, source.ideas, notes, descriptions)


def make_ready(
    searcher: Searcher,
    title: str,
    ideas: Sequence[Mapping[str, str]] = (),
    notes: Sequence[str] = (),
    descriptions: Sequence[str] = (),
) -> Ready:
    """Return what the page needs for any searcher; without ideas, descriptions of its pictures give some."""
    retriever = searcher.retriever
    detector = LanguageDetector(readable(retriever.languages(), retriever.unknown_share))
    return Ready(searcher, title, ideas or ideas_from(descriptions, detector), detector, notes)


def ideas_from(descriptions: Sequence[str], detector: LanguageDetector) -> list[dict[str, str]]:
    """Return queries that fit some of the pictures: the first sentences of descriptions, by their language."""
    spread = descriptions[:: max(1, len(descriptions) // MOST_IDEAS)]
    texts = dict.fromkeys(map(_first_sentence, spread))
    return [{code: text} for text in texts if (code := detector.detect(text))][:MOST_IDEAS]


def _first_sentence(text: str) -> str:
    first = re.split(r"(?<=[.!?])\s|(?<=[。！？])", text.strip(), maxsplit=1)[0]
    if len(first) <= LONGEST_IDEA:
        return first
    return first[:LONGEST_IDEA].rpartition(" ")[0] or first[:LONGEST_IDEA]
