import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from leccr.data.features import choose_features, features_name, fits_model, fits_recipe, tower_settings
from leccr.data.training_data import open_training_data
from leccr.errors import UserError
from processing.features import save_features
from processing.storage import write_rows
from tests.tiny_data import DUAL_ENCODER, recipe, row

CLIP, SIGLIP = "openai/clip-vit-base-patch32", "google/siglip2-base"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set of two pictures, with the features of two towers."""
    for split in ("train", "validation"):
        write_rows(tmp_path / "data", split, [row("a"), row("b")])
    for tower, width in ((CLIP, 4), (SIGLIP, 6)):
        path = tmp_path / "data" / features_name(recipe(vision=tower))
        save_features(path, ["a", "b"], [torch.ones(1, width)] * 2, tower=tower)
    return tmp_path / "data"


def test_a_tower_has_a_file_of_its_own(tmp_path: Path) -> None:
    assert features_name(recipe(vision=CLIP)) == "features-openai-clip-vit-base-patch32.safetensors"
    (tmp_path / "My tower!").mkdir()
    assert features_name(recipe(vision=str(tmp_path / "My tower!"))) == "features-my-tower.safetensors"


@pytest.mark.parametrize(
    ("fields", "width", "said"),
    [
        ({"vision": CLIP}, 4, "the features in features-openai-clip-vit-base-patch32.safetensors take the place"),
        ({"vision": SIGLIP}, 6, "the features in features-google-siglip2-base.safetensors take the place"),
        ({"vision": "another/tower"}, None, "the pictures are taken, since no features next to the data are of this"),
        ({}, None, "the pictures are taken"),
        ({"vision": CLIP, "model": {**DUAL_ENCODER, "vision_grid": 3}}, 4, "take the place"),
        ({"vision": None}, 6, "the features in features-google-siglip2-base.safetensors take the place"),
    ],
)
def test_training_takes_the_features_of_its_tower(
    fields: dict[str, Any], width: int | None, said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = open_training_data(recipe(data=str(folder), **fields))
    assert (data.features and data.features.width) == width
    assert said in capsys.readouterr().out


def test_features_that_were_made_otherwise_do_not_fit(folder: Path) -> None:
    own = recipe(vision="third/tower")
    path = folder / features_name(own)
    settings = json.dumps(tower_settings(own))
    save_features(path, ["a"], [torch.ones(1, 4)], tower="third/tower", settings=settings)
    assert choose_features(folder, fits_recipe(own)) is not None
    other = recipe(vision="third/tower", image_processor={"do_resize": True})
    assert choose_features(folder, fits_recipe(other)) is None


@pytest.mark.parametrize(
    ("tower", "width", "chosen"),
    [(None, 4, 4), (None, 6, 6), (None, 5, None), (CLIP, 4, 4), (SIGLIP, 4, None), ("", 6, 6)],
)
def test_a_model_takes_the_features_that_fit_it(
    tower: str | None, width: int, chosen: int | None, folder: Path
) -> None:
    vision = None if tower is None else SimpleNamespace(_name_or_path=tower)
    config = SimpleNamespace(vision_config=vision, visual_feature_dim=width)
    features = choose_features(folder, fits_model(config))
    assert (features and features.width) == chosen


def test_nothing_to_see_is_told_before_anything_is_built(tmp_path: Path) -> None:
    for split in ("train", "validation"):
        write_rows(tmp_path / "data", split, [row("a", image=None)])
    save_features(tmp_path / "data" / features_name(recipe(vision=CLIP)), ["a"], [torch.ones(1, 4)], tower=CLIP)
    open_training_data(recipe(data=str(tmp_path / "data"), vision=CLIP))
    with pytest.raises(UserError, match=f"no pictures or videos, and no features of the tower {SIGLIP} of recipe tiny"):
        open_training_data(recipe(data=str(tmp_path / "data"), vision=SIGLIP))
