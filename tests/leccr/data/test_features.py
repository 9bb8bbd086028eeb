import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from leccr.data.features import choose_features, features_name, features_path, fits_model, fits_recipe, tower_settings
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
    ],
)
def test_training_takes_the_features_of_its_tower(
    fields: dict[str, Any], width: int | None, said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = open_training_data(recipe(data=str(folder), **fields))
    assert (data.features and data.features.width) == width
    assert said in capsys.readouterr().out


@pytest.mark.parametrize("width", [4, 6])
def test_features_of_several_towers_are_not_chosen_by_chance(width: int, folder: Path) -> None:
    """Neither by a recipe or a model that names no tower, nor if two of them have the same width."""
    with pytest.raises(UserError, match="Several features in .*data would do.*siglip2.*clip.*; keep one of them there"):
        open_training_data(recipe(data=str(folder), vision=None))
    save_features(folder / "features-third.safetensors", ["a"], [torch.ones(1, width)], tower="third/tower")
    config = SimpleNamespace(vision_config=None, visual_feature_dim=width)
    with pytest.raises(UserError, match=r"would do, .*third.safetensors \(third/tower\)"):
        choose_features(folder, fits_model(config))


def test_two_grids_of_a_tower_have_a_file_each(folder: Path) -> None:
    """As two sizes of pictures, or two towers whose names are written alike, do."""
    grids = [recipe(vision="third/tower", model={**DUAL_ENCODER, "vision_grid": grid}) for grid in (None, 7, 3)]
    variants = [*grids, recipe(vision="third/tower", image_processor={"do_resize": True}), recipe(vision="third.tower")]
    for variant in variants:
        path = features_path(folder, variant)
        assert not path.exists()
        settings = json.dumps(tower_settings(variant))
        save_features(path, ["a"], [torch.ones(1, 4)], tower=str(variant.vision), settings=settings)
        assert features_path(folder, variant) == path
    chosen = [choose_features(folder, fits_recipe(variant)) for variant in variants]
    names = [features.path.name for features in chosen if features is not None]
    ends = ("", "-2", "-3", "-4", "-5")
    assert names == [f"features-third-tower{end}.safetensors" for end in ends]
    for number, grid in enumerate((None, 7, 3)):
        vision = SimpleNamespace(_name_or_path="third/tower")
        config = SimpleNamespace(vision_config=vision, visual_feature_dim=4, vision_grid=grid)
        fits = fits_model(config)
        fitting = [number for number, features in enumerate(chosen) if features is not None and fits(features)]
        assert number in fitting and not {0, 1, 2} - {number} & set(fitting)


@pytest.mark.parametrize("settings", ["{", "[]", "7", "[" * 10**5])
def test_settings_that_are_none_are_told(settings: str, folder: Path) -> None:
    save_features(folder / "features-x.safetensors", ["a"], [torch.ones(1, 4)], tower=CLIP, settings=settings)
    with pytest.raises(UserError, match="features-x.safetensors was not written by `leccr features`"):
        choose_features(folder, fits_recipe(recipe(vision=CLIP)))


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
