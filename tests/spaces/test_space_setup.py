import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import space_setup
from space_errors import SpaceError
from space_languages import LanguageDetector
from space_setup import LONGEST_IDEA, Ready, Settings, Setup, build_ready, ideas_from
from space_sources import open_source

from tests.leccr.gallery.tiny_gallery import paint


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"MODEL": " org/name ", "GALLERY": ""}.items():
        monkeypatch.setenv(f"LECCR_{name}", value)
    assert Settings.from_environment() == Settings("org/name", "")


def test_with_only_a_model_the_samples_are_shown(scenes: Path) -> None:
    said: list[str] = []
    ready = build_ready(Settings(str(scenes / "model")), said.append)
    assert (len(ready.searcher), ready.title) == (48, "built-in Scenes")
    assert ready.languages == ["en", "de", "fr", "cs", "zh", "ja"]
    assert said[-1] == "Encoding the pictures: 48 of 48 …"


def test_a_model_that_is_trained_brings_its_pictures(scenes: Path) -> None:
    made = str(scenes / "model"), str(scenes / "gallery")
    ready = build_ready(Settings(), print, train=lambda say: made)
    assert (len(ready.searcher), ready.title) == (24, "built-in Scenes")


def test_a_gallery_of_the_visitors_is_opened_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match="holds no pictures"):
        build_ready(Settings(gallery=str(tmp_path)), print, train=None)


def test_without_a_model_it_says_what_to_set() -> None:
    setup = Setup(lambda say: build_ready(Settings(), say))
    setup.start().join()
    assert setup.failed and "Set the variable LECCR_MODEL" in setup.status
    with pytest.raises(SpaceError, match="LECCR_MODEL"):
        _ = setup.ready


def test_a_model_next_to_the_app_is_used(scenes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space_setup, "MODEL_FOLDER", scenes / "model")
    assert build_ready(Settings(), print).retriever.name == str(scenes / "model")


@pytest.mark.parametrize("model", ["no/such", "gallery"])
def test_what_is_no_model_is_said(model: str, scenes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SpaceError, match="cannot be loaded"):
        build_ready(Settings(str(scenes / model)), print)


def test_a_gallery_of_broken_files_is_said_and_some_are_noted(scenes: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(SpaceError, match="None of the gallery's pictures"):
        build_ready(Settings(str(scenes / "model"), str(tmp_path)), print)
    paint(tmp_path / "b.png", 1)
    assert build_ready(Settings(str(scenes / "model"), str(tmp_path)), print).notes == [
        "1 pictures cannot be read and are left out."
    ]


def test_folders_that_cannot_be_read_are_noted(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paint(tmp_path / "a.png", 1)
    source = replace(open_source(tmp_path), unreadable=["b", "c", "d", "e"])
    monkeypatch.setattr(space_setup, "open_source", lambda name: source)
    ready = build_ready(Settings(str(scenes / "model"), str(tmp_path)), print)
    assert ready.notes == ["4 folders cannot be read and are left out: b, c, d …."]
    assert "Left out, as they cannot be read: b, c, d, e\n" in capsys.readouterr().out


def test_until_it_is_ready_the_page_reports_progress() -> None:
    said, go_on = threading.Event(), threading.Event()

    def build(say: Callable[[str], None]) -> Ready:
        say("Training, step 3 of 9 …")
        said.set()
        go_on.wait()
        raise RuntimeError("a secret detail")

    setup = Setup(build)
    thread = setup.start()
    said.wait()
    with pytest.raises(SpaceError, match="Not ready yet. Training, step 3 of 9 … Try again"):
        _ = setup.ready
    go_on.set()
    thread.join()
    assert setup.failed and "secret" not in setup.status and "log" in setup.status


def test_the_first_sentences_of_descriptions_are_offered_by_their_language() -> None:
    detector = LanguageDetector(["en", "de", "zh"])
    long = "The old harbour lies behind a row of houses " * 5
    descriptions = [
        "A dog runs along the beach. Behind it is the sea.",
        "Zwei Kinder spielen im Schnee!",
        "一只狗在沙滩上奔跑。后面是大海。",
        "12345",
        long,
    ]
    first, second, third, last = ideas_from(descriptions, detector)
    assert (first, second) == ({"en": "A dog runs along the beach."}, {"de": "Zwei Kinder spielen im Schnee!"})
    assert third == {"zh": "一只狗在沙滩上奔跑。"}
    assert long.startswith(last["en"] + " ") and len(last["en"]) <= LONGEST_IDEA
    assert ideas_from([], detector) == []
    many = [f"A dog runs after {number} cats." for number in range(600)]
    assert [idea["en"] for idea in ideas_from(many, detector)] == many[::100]
