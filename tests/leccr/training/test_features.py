import itertools
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import CLIPImageProcessorPil, MobileNetV2Config, MobileNetV2Model

import leccr.training.features as featuring
from leccr.data.features import choose_features, fits_recipe
from leccr.errors import UserError
from leccr.recipes import Recipe
from leccr.training.features import encode_rows, load_vision_tower, run_features
from processing.features import FeatureFile, copy_id
from processing.storage import read_splits, write_rows


def picture_rows(folder: Path, count: int) -> list[dict[str, object]]:
    rows = []
    for number in range(count):
        path = folder / f"{number}.png"
        Image.effect_noise((40, 40), 50 + number).convert("RGB").save(path)
        rows.append(
            {
                "id": f"picture-{number}",
                "image": {"path": str(path), "bytes": None},
                "video": None,
                "source_language": "en",
                "source_captions": [f"Noise {number}."],
                "target_captions": [],
                "description": None,
            }
        )
    return rows


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    torch.manual_seed(0)
    tower = tmp_path / "tower"
    MobileNetV2Model(MobileNetV2Config(image_size=32, depth_multiplier=0.25)).save_pretrained(tower)
    size = {"height": 32, "width": 32}
    CLIPImageProcessorPil(size=size, crop_size=size).save_pretrained(tower)
    return Recipe(name="tiny", vision=str(tower), model={"vision_grid": 1})


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    rows = picture_rows(tmp_path, 7)
    write_rows(folder, "train", rows[:5], embed_images=True)
    write_rows(folder, "validation", rows[5:], embed_images=True)
    return folder


def test_every_row_has_the_towers_tokens(data: Path, recipe: Recipe) -> None:
    features = FeatureFile(run_features(str(data), recipe, store="fp32"))
    tower, image_processor = load_vision_tower(recipe)
    for rows in read_splits(data).values():
        for name, expected in zip(rows["id"], encode_rows(tower, image_processor, rows, batch_size=1), strict=True):
            assert expected.shape[0] == 2
            torch.testing.assert_close(features[name], expected, atol=1e-5, rtol=1e-5)
    assert not (data / "features-tower.parts").exists()


def test_processes_decode_what_threads_do(data: Path, recipe: Recipe, capsys: pytest.CaptureFixture[str]) -> None:
    path = run_features(str(data), recipe, copies=1)
    expected = path.read_bytes()
    path.unlink()
    assert run_features(str(data), recipe, copies=1, workers=2, processes=True).read_bytes() == expected
    assert "busy" not in capsys.readouterr().out, "it took no time worth a word"


def test_how_busy_the_tower_was_is_said(
    data: Path, recipe: Recipe, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leccr.models.encoder.WORTH_SAYING", 0.0)
    run_features(str(data), recipe)
    assert re.search(r"The model was busy \d+% of the time", capsys.readouterr().out)


class Elsewhere(torch.nn.Module):
    """A tower on a device that this machine need not have: it remembers where its pictures are."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.empty(1, device="meta"))
        self.devices: set[str] = set()

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        self.devices.add(pixel_values.device.type)
        return torch.zeros(len(pixel_values), 2, 3)


def test_pictures_go_where_the_tower_is(data: Path, recipe: Recipe) -> None:
    tower: Any = Elsewhere()
    _, image_processor = load_vision_tower(recipe)
    tokens = list(encode_rows(tower, image_processor, read_splits(data)["train"], batch_size=8))
    assert tower.devices == {"meta"}
    assert [each.device.type for each in tokens] == ["cpu"] * 5


def test_the_tower_runs_in_the_precision_asked_for(data: Path, recipe: Recipe, tmp_path: Path) -> None:
    copied = shutil.copytree(data, tmp_path / "copy")
    exact = FeatureFile(run_features(str(data), recipe, store="fp32"))
    rounded = FeatureFile(run_features(str(copied), recipe, store="fp32", dtype="bf16"))
    difference = (rounded["picture-0"] - exact["picture-0"]).abs().max()
    assert rounded["picture-0"].dtype == torch.float32
    assert 0 < difference < 0.1 * exact["picture-0"].abs().max()


def test_an_unknown_way_to_store_features(data: Path, recipe: Recipe) -> None:
    with pytest.raises(UserError, match="--store is 'fp8', but has to be one of fp16, fp32."):
        run_features(str(data), recipe, store="fp8")


def test_an_interrupted_run_resumes(data: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(featuring, "PART_ROWS", 2)
    seen: list[object] = []

    def stop_at_third(tower: object, processor: object, rows: object, *settings: object) -> Iterator[torch.Tensor]:
        seen.append(rows)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return encode_rows(tower, processor, rows, *settings)  # type: ignore[arg-type]

    monkeypatch.setattr(featuring, "encode_rows", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        run_features(str(data), recipe)
    assert len(list((data / "features-tower.parts").glob("*.safetensors"))) == 2
    run_features(str(data), recipe)
    assert len(seen) == 3 + 2
    assert len(FeatureFile(data)[read_splits(data)["validation"][0]["id"]]) == 2


def test_parts_of_another_run_are_not_mixed_in(data: Path, recipe: Recipe) -> None:
    (data / "features-tower.parts").mkdir()
    (data / "features-tower.parts" / "about.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UserError, match="parts of another run"):
        run_features(str(data), recipe)


def test_parts_are_not_written_or_removed_in_a_linked_folder(data: Path, recipe: Recipe, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.txt").write_text("mine")
    (data / "features-tower.parts").symlink_to(other)
    with pytest.raises(UserError, match="features-tower.parts is a link or a file"):
        run_features(str(data), recipe)
    assert [path.name for path in other.iterdir()] == ["mine.txt"]


def test_features_of_several_towers_are_next_to_each_other(data: Path, recipe: Recipe, tmp_path: Path) -> None:
    other = shutil.copytree(tmp_path / "tower", tmp_path / "Other Tower")
    paths = [
        run_features(str(data), Recipe(**{**vars(recipe), "vision": str(tower)})) for tower in (recipe.vision, other)
    ]
    assert [path.name for path in paths] == ["features-tower.safetensors", "features-other-tower.safetensors"]
    for path, tower in zip(paths, (recipe.vision, other)):
        fitting = choose_features(data, fits_recipe(Recipe(**{**vars(recipe), "vision": str(tower)})))
        assert fitting is not None and fitting.path == path
    assert choose_features(data, fits_recipe(Recipe(**{**vars(recipe), "vision": "third/tower"}))) is None
    assert choose_features(data, fits_recipe(Recipe(**{**vars(recipe), "model": {"vision_grid": 2}}))) is None


def test_existing_features_are_kept(data: Path, recipe: Recipe) -> None:
    run_features(str(data), recipe)
    with pytest.raises(UserError, match="exists already"):
        run_features(str(data), recipe)


def test_a_tower_without_weights_is_refused(data: Path) -> None:
    with pytest.raises(UserError, match="no pretrained vision tower"):
        run_features(str(data), Recipe(name="scratch", vision={"model_type": "resnet"}))


def test_a_broken_picture_stops_the_run_and_is_named(data: Path, recipe: Recipe, tmp_path: Path) -> None:
    rows = [{**row, "image": {"bytes": b"text", "path": "broken.png"}} for row in picture_rows(tmp_path, 3)]
    write_rows(data, "test", rows)
    with pytest.raises(ValueError, match="broken.png cannot be decoded"):
        run_features(str(data), recipe)


def test_training_pictures_have_varied_copies(data: Path, recipe: Recipe) -> None:
    first = FeatureFile(run_features(str(data), recipe, store="fp32", copies=2))
    splits = read_splits(data)
    assert first.copies == 2
    for name in splits["train"]["id"]:
        kinds = [first[name], first[copy_id(name, 1)], first[copy_id(name, 2)]]
        assert not any(torch.equal(one, other) for one, other in itertools.combinations(kinds, 2))
    assert not any(copy_id(name, 1) in first for name in splits["validation"]["id"])
    first.path.unlink()
    # The crops are drawn from the rows' ids, whatever thread comes first.
    again = FeatureFile(run_features(str(data), recipe, store="fp32", batch_size=2, copies=2))
    name = copy_id(splits["train"]["id"][0], 2)
    assert torch.allclose(first[name], again[name], atol=1e-5)
