"""Which of the features next to a data set fit a model: those of its own tower, and no others."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from processing.features import FeatureFile, feature_files
from processing.images import BACKGROUND
from processing.notes import note

from ..errors import UserError
from ..recipes.recipe import Recipe

Fits = Callable[[FeatureFile], bool]


def features_name(recipe: Recipe) -> str:
    """Return the name of the file for the features of a recipe's tower: those of several towers fit in one folder."""
    tower = str(recipe.vision)
    name = Path(tower).name if Path(tower).is_dir() else tower
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "tower"
    return f"features-{slug}.safetensors"


def features_path(data: str | Path, recipe: Recipe) -> Path:
    """Return the file for the features of a recipe's tower: the one that has them, or else one that does not exist.

    Args:
        data: The data set's folder.
        recipe: As `leccr.data.loading.for_videos` returned it.
    """
    path = first = Path(data) / features_name(recipe)
    fits, number = fits_recipe(recipe), 1
    while path.is_file() and not fits(FeatureFile(path)):
        number += 1
        path = first.with_name(f"{first.stem}-{number}{first.suffix}")
    return path


def tower_settings(recipe: Recipe) -> dict[str, Any]:
    """Return what the features of a tower depend on besides its weights."""
    return {
        "image_processor": recipe.image_processor,
        "grid": recipe.model.get("vision_grid"),
        "num_frames": recipe.processor.get("num_frames"),
        "background": recipe.processor.get("background", BACKGROUND),
    }


def fits_recipe(recipe: Recipe) -> Fits:
    """Return what tells whether features can take the place of the pictures in training by a recipe.

    Args:
        recipe: As `leccr.data.loading.for_videos` returned it.
    """

    def fits(features: FeatureFile) -> bool:
        if recipe.network != "cross-modal" or recipe.dual_encoder is not None:
            return False
        if recipe.vision is None:
            return True
        settings = _settings_of(features)
        same = settings is None or settings == json.loads(json.dumps(tower_settings(recipe)))
        return features.metadata.get("tower", recipe.vision) == recipe.vision and same

    return fits


def fits_model(config: Any) -> Fits:
    """Return what tells whether a trained model takes features: by width, pooling, and its tower if it names one.

    Args:
        config: The model's configuration.
    """
    tower = getattr(config.vision_config, "_name_or_path", "") if config.vision_config is not None else ""

    def fits(features: FeatureFile) -> bool:
        made_by, settings = features.metadata.get("tower"), _settings_of(features)
        if settings and config.vision_config is not None and settings.get("grid") != config.vision_grid:
            return False
        return features.width == config.visual_feature_dim and (not tower or made_by in (None, tower))

    return fits


def choose_features(data: str | Path, fits: Fits, told: bool = False) -> FeatureFile | None:
    """Return the features next to a data set that fit, or None if the pictures have to be taken.

    Args:
        data: The data set's folder.
        fits: Tells whether features fit.
        told: Print which features are taken, or that none of them fits.

    Raises:
        UserError: If several fit that were made in different ways.
    """
    existing = feature_files(data)
    fitting = [features for features in existing if fits(features)]
    if len({(features.metadata.get("tower"), features.metadata.get("settings")) for features in fitting}) > 1:
        names = ", ".join(f"{features.path.name} ({features.metadata.get('tower')})" for features in fitting)
        raise UserError(
            f"Several features in {data} would do, made by different towers or in different ways: {names}; keep one of "
            "them there."
        )
    if told and fitting:
        note(f"Note: the features in {fitting[0].path.name} take the place of the pictures.")
    elif told and existing:
        names = ", ".join(f"{features.path.name} ({features.metadata.get('tower')})" for features in existing)
        note(f"Note: the pictures are taken, since no features next to the data are of this tower: {names}.")
    return fitting[0] if fitting else None


def _settings_of(features: FeatureFile) -> dict[str, Any] | None:
    """Return what features depend on besides the tower; None if they do not say it.

    Raises:
        UserError: If what they say is not that.
    """
    settings = features.metadata.get("settings")
    try:
        content = None if settings is None else json.loads(settings)
    except (ValueError, RecursionError):
        content = ()
    if content is not None and not isinstance(content, dict):
        raise UserError(f"{features.path} was not written by `leccr features`; compute the features again.")
    return content


__all__ = ["choose_features", "features_name", "features_path", "fits_model", "fits_recipe", "tower_settings"]
