import json
import sys
import time
from pathlib import Path

import pytest
import space_scenes
import space_setup
from space_errors import SpaceError
from space_setup import Ready, Settings, Setup, build_ready

from processing.scenes.build import HELD_OUT_PAIRS, description, sample_scenes
from tests.leccr.gallery.tiny_gallery import paint


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"MODEL": " org/name ", "GALLERY": "", "TRAINING_SCENES": "400"}.items():
        monkeypatch.setenv(f"LECCR_{name}", value)
    assert Settings.from_environment() == Settings("org/name", "", 400)
    monkeypatch.setenv("LECCR_TRAINING_SCENES", "lots")
    with pytest.raises(SpaceError, match="LECCR_TRAINING_SCENES"):
        Settings.from_environment()


def test_with_a_model_alone_the_samples_are_shown(scenes: Path) -> None:
    said: list[str] = []
    ready = build_ready(Settings(str(scenes / "model")), said.append)
    assert (len(ready.searcher), ready.title) == (48, "built-in Scenes")
    assert ready.languages == ["en", "de", "fr", "cs", "zh", "ja"]
    assert said[-1] == "Looking at the pictures: 48 of 48 …"


def test_without_anything_a_model_is_trained_once(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def prepare(cache: Path, say: object, num_train: int) -> Path:
        asked.append((cache, num_train))
        return scenes

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(space_scenes, "prepare_scenes", prepare)
    ready = build_ready(Settings(training_scenes=70), print)
    assert asked == [(tmp_path / "leccr", 70)] and len(ready.searcher) == 24


def test_without_leccr_and_without_a_model_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "leccr", None)
    setup = Setup(lambda say: build_ready(Settings(), say))
    setup.start().join(10)
    assert setup.failed and "Set the variable LECCR_MODEL" in setup.status
    with pytest.raises(SpaceError, match="LECCR_MODEL"):
        _ = setup.ready


def test_a_model_beside_the_app_is_used(scenes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space_setup, "MODEL_BESIDE", scenes / "model")
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


def test_until_it_is_ready_the_page_says_what_is_going_on() -> None:
    def build(say: object) -> Ready:
        setup._say("Training, step 3 of 9 …")
        time.sleep(0.3)
        raise RuntimeError("a secret detail")

    setup = Setup(build)
    thread = setup.start()
    time.sleep(0.1)
    with pytest.raises(SpaceError, match="Not ready yet. Training, step 3 of 9 … Try again"):
        _ = setup.ready
    thread.join(10)
    assert setup.failed and "secret" not in setup.status and "log" in setup.status


def test_the_samples_are_what_the_program_draws(tmp_path: Path) -> None:
    space_scenes.rewrite_samples(tmp_path / "samples")
    drawn = {path.name: path.read_bytes() for path in (tmp_path / "samples").iterdir()}
    assert drawn == {path.name: path.read_bytes() for path in space_setup.SAMPLES.iterdir()}
    assert len(drawn) == 50


def test_the_built_in_gallery_shows_what_training_never_does(tmp_path: Path) -> None:
    space_scenes.write_gallery(tmp_path / "gallery", 5)
    described = (tmp_path / "gallery" / "metadata.jsonl").read_text(encoding="utf-8")
    test = sample_scenes({"train": 2000, "validation": 200, "test": 200})["test"]
    assert [json.loads(line)["description"] for line in described.splitlines()] == list(map(description, test[:5]))
    assert all((scene.kind, scene.colour) in HELD_OUT_PAIRS for scene in test)


def test_a_model_is_trained_into_the_cache_and_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space_scenes, "GALLERY_SCENES", 4)
    monkeypatch.setattr(space_scenes.write_gallery, "__defaults__", (4, 0))
    said: list[str] = []
    made = space_scenes.prepare_scenes(tmp_path, said.append, 64)
    assert {path.name for path in made.iterdir()} == {"model", "gallery"} and list(tmp_path.iterdir()) == [made]
    assert said[-1].endswith("step 7 of 7 …")
    assert "# scenes" in (made / "model" / "README.md").read_text(encoding="utf-8")
    monkeypatch.setattr(space_scenes, "_train", None)
    assert space_scenes.prepare_scenes(tmp_path, said.append, 64) == made
