import json
from pathlib import Path

import pytest

from leccr.demo import scenes
from leccr.demo.space import space_folder
from processing.scenes.build import HELD_OUT_PAIRS, description, sample_scenes


def test_the_samples_are_what_the_program_draws(tmp_path: Path) -> None:
    scenes.rewrite_samples(tmp_path / "samples")
    drawn = {path.name: path.read_bytes() for path in (tmp_path / "samples").iterdir()}
    assert drawn == {path.name: path.read_bytes() for path in (space_folder() / "samples").iterdir()}
    assert len(drawn) == 50


def test_the_built_in_gallery_shows_what_training_never_does(tmp_path: Path) -> None:
    scenes.write_gallery(tmp_path / "gallery", 5)
    described = (tmp_path / "gallery" / "metadata.jsonl").read_text(encoding="utf-8")
    test = sample_scenes({"train": 2000, "validation": 200, "test": 200})["test"]
    assert [json.loads(line)["description"] for line in described.splitlines()] == list(map(description, test[:5]))
    assert all((scene.kind, scene.colour) in HELD_OUT_PAIRS for scene in test)


def test_a_model_is_trained_into_the_cache_and_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes.write_gallery, "__defaults__", (4, 0))
    said: list[str] = []
    made = scenes.prepare_scenes(tmp_path, said.append, 24)
    assert {path.name for path in made.iterdir()} == {"model", "gallery"} and list(tmp_path.iterdir()) == [made]
    assert said[-1].endswith("step 7 of 7 …")
    card = (made / "model" / "README.md").read_text(encoding="utf-8")
    assert "# scenes" in card and "Training data: Scenes" in card and "does not record" not in card
    monkeypatch.setattr(scenes, "_train", None)
    assert scenes.prepare_scenes(tmp_path, said.append, 24) == made
