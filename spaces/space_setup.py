"""What the page shows, made ready in the background so that the page answers at once."""

import os
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import space_scenes
from space_errors import SpaceError
from space_languages import SIX, LanguageDetector
from space_model import Retriever
from space_search import PictureStore, Searcher
from space_sources import IDEAS, SAMPLES, Source, open_source

MODEL_BESIDE = Path(__file__).parent / "model"


@dataclass(frozen=True)
class Settings:
    """What is shown.

    Attributes:
        model: Folder or Hub name of a model; empty for the model beside the app, or one trained on the spot.
        gallery: Folder or Hub name of pictures; empty for built-in ones.
        training_scenes: Scenes that a model trained on the spot sees.
    """

    model: str = ""
    gallery: str = ""
    training_scenes: int = space_scenes.TRAINING_SCENES

    @classmethod
    def from_environment(cls) -> "Settings":
        """Read `LECCR_MODEL`, `LECCR_GALLERY` and `LECCR_TRAINING_SCENES`.

        Raises:
            SpaceError: If the last one is no number from 50 to 20,000.
        """
        scenes = os.environ.get("LECCR_TRAINING_SCENES") or str(space_scenes.TRAINING_SCENES)
        if not scenes.isdecimal() or not 50 <= int(scenes) <= 20_000:
            raise SpaceError("LECCR_TRAINING_SCENES has to be a number from 50 to 20,000.")
        model, gallery = (os.environ.get(f"LECCR_{name}", "").strip() for name in ("MODEL", "GALLERY"))
        return cls(model, gallery, int(scenes))


@dataclass(frozen=True)
class Ready:
    """Everything that the page needs.

    Attributes:
        searcher: The pictures.
        title: What they are.
        ideas: Queries that mean the same, by language.
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
        found = self.detector.languages
        return [code for code in SIX if code in found] + [code for code in found if code not in SIX]


Build = Callable[[Callable[[str], None]], Ready]


class Setup:
    """Builds what the page needs, in a thread of its own or at once.

    Args:
        build: Returns what is needed; it is given a function to say what is going on.
    """

    def __init__(self, build: Build) -> None:
        self._build = build
        self._ready: Ready | None = None
        self.status = "Starting …"
        self.failed = False

    def start(self) -> threading.Thread:
        """Build in the background; an error becomes the status."""
        thread = threading.Thread(target=self._run, name="setup", daemon=True)
        thread.start()
        return thread

    def finish(self) -> "Setup":
        """Build now; an error is raised."""
        self._ready = self._build(self._say)
        return self

    @property
    def is_ready(self) -> bool:
        """Whether everything is there."""
        return self._ready is not None

    @property
    def ready(self) -> Ready:
        """What was built.

        Raises:
            SpaceError: If it is not there yet, or never will be.
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
    settings: Settings, say: Callable[[str], None], load: Callable[[str], Retriever] = Retriever.load
) -> Ready:
    """Load a model and encode the pictures.

    Args:
        settings: What is shown.
        say: Told what is going on.
        load: Loads the model of a name.

    Raises:
        SpaceError: If there is no model or no gallery of the names given, or nothing to fall back on.
    """
    model, gallery = settings.model, settings.gallery
    if not model and MODEL_BESIDE.is_dir():
        model = str(MODEL_BESIDE)
    if not model:
        if not space_scenes.is_available():
            raise SpaceError(
                "No model is set. Set the variable LECCR_MODEL to the Hub name or the folder of a LECCR model, or put "
                "one into the folder model beside app.py."
            )
        made = space_scenes.prepare_scenes(space_scenes.cache_folder(), say, settings.training_scenes)
        model, gallery = str(made / "model"), gallery or str(made / "gallery")
    say("Loading the model …")
    retriever = load(model)
    say("Opening the pictures …")
    source = open_source(gallery or SAMPLES)
    return ready_from(retriever, source if settings.gallery else replace(source, title="built-in Scenes"), say)


def ready_from(retriever: Retriever, source: Source, say: Callable[[str], None]) -> Ready:
    """Encode the pictures of a source.

    Raises:
        SpaceError: If none of them can be used.
    """
    store, total = PictureStore(retriever), len(source.pictures)
    problems = store.add(source.pictures, lambda done: say(f"Looking at the pictures: {done:,} of {total:,} …"))
    if not len(store):
        raise SpaceError("None of the gallery's pictures can be read.")
    for problem in problems:
        print(f"Left out: {problem}")
    notes = [f"{len(problems):,} pictures cannot be read and are left out."] if problems else []
    if source.left_out:
        notes.append(f"Only the first {total:,} pictures are shown; {source.left_out:,} more are left out.")
    return make_ready(store, source.title, source.ideas, notes)


def make_ready(
    searcher: Searcher, title: str, ideas: Sequence[Mapping[str, str]] = IDEAS, notes: Sequence[str] = ()
) -> Ready:
    """Return what the page needs for any searcher."""
    detector = LanguageDetector(searcher.retriever.languages())
    return Ready(searcher, title, ideas, detector, notes)
