"""What a checkpoint's card is made from, read from the folder that `leccr train` wrote and from its data's facts."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hub_card.model_card import ModelFacts
from hub_card.names import is_repository, public_name
from hub_card.results import EvaluationResult, check_results
from processing.screen import shown_names

from ..data.facts import FACTS_FILE, data_facts
from ..errors import UserError
from ..recipes.recipe import RECIPE_FILE
from ..recipes.yaml_text import read_yaml
from .companions import has_onnx

# Fields of a recipe that may name a folder of the machine that trained.
NAMES_IN_RECIPES = ("vision", "text", "tokenizer", "image_processor", "dual_encoder", "warm_start", "data")


def read_facts(
    checkpoint: Path,
    name: str,
    results: Sequence[Path] = (),
    license: str | None = None,
    dataset: str | None = None,
    data: Path | None = None,
) -> ModelFacts:
    """Return what a checkpoint's card is made from.

    Raises:
        UserError: If the folder holds no checkpoint of ours, or a file cannot be read.
    """
    config = read_json(checkpoint / "config.json")
    if not str(config.get("model_type", "")).startswith("leccr"):
        kind = config.get("model_type")
        raise UserError(f"{checkpoint} holds a {kind} model, not a LECCR one; name a folder that `leccr train` wrote.")
    training = read_json(checkpoint / "training.json", {})
    recipe = public_recipe(read_recipe(checkpoint))
    figures = [_with_title(result) for path in results for result in _own_results(path, checkpoint)]
    return ModelFacts(
        name=name,
        config=config,
        processor=read_json(checkpoint / "processor_config.json", {}),
        training=training,
        recipe=recipe,
        results=figures,
        license=license,
        dataset=dataset,
        data={**(training.get("data") or {}), **_data_facts(data)},
        base_models=_base_models(config, recipe),
        calibration=_calibration(checkpoint),
        onnx=has_onnx(checkpoint),
    )


def read_recipe(checkpoint: Path) -> dict[str, Any]:
    """Return the fields of a checkpoint's `recipe.yaml`; nothing if there is none.

    Raises:
        UserError: If it is not valid YAML.
    """
    path = checkpoint / RECIPE_FILE
    return read_yaml(path) if path.is_file() else {}


def public_recipe(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recipe's fields without the folders of this machine above models and data."""
    return {
        name: public_name(value) if name in NAMES_IN_RECIPES and isinstance(value, str) else value
        for name, value in recipe.items()
    }


def _data_facts(data: Path | None) -> dict[str, Any]:
    facts = {} if data is None else data_facts(data)
    if data is not None and not facts:
        raise UserError(f"{data} has no {FACTS_FILE}, so nothing is known about it; name a folder of `leccr prepare`.")
    return facts


def _own_results(path: Path, checkpoint: Path) -> list[EvaluationResult]:
    """Return the results in a file, of several models those of the checkpoint in this folder."""
    results = check_results(read_json(path, kind=list), str(path))
    models = {str(result["protocol"].get("checkpoint")) for result in results}
    if len(models) < 2:
        return results
    own = [name for name in models if Path(name).resolve() == checkpoint.resolve()]
    if not own:
        names = shown_names(sorted(models))
        raise UserError(f"{path} has the figures of {names}, and none of {checkpoint}; evaluate it as well.")
    return [result for result in results if str(result["protocol"].get("checkpoint")) in own]


def _with_title(result: EvaluationResult) -> EvaluationResult:
    """Return a result with its data's title if their folder still exists, since a folder may have any name."""
    title = data_facts(result["protocol"]["data"]).get("title")
    return {**result, "protocol": {**result["protocol"], "title": title}} if title else result


def _calibration(checkpoint: Path) -> dict[str, Any]:
    from ..models.calibration import load_calibration

    calibration = load_calibration(checkpoint)
    return {} if calibration is None else calibration.to_fields()


def _base_models(config: Mapping[str, Any], recipe: Mapping[str, Any]) -> list[str]:
    """Return the Hub names of what the model started from; a tower from a folder has none."""
    parts = [config.get(f"{part}_config") or {} for part in ("vision", "text", "description")]
    names = [str(name or "") for name in (recipe.get("dual_encoder"), *(part.get("_name_or_path") for part in parts))]
    return list(dict.fromkeys(name for name in names if is_repository(name) and not Path(name).exists()))


def read_json(path: Path, default: Any = None, kind: type = dict) -> Any:
    """Return what a JSON file holds; `default`, if there is one, where there is no file.

    Raises:
        UserError: If it is missing, cannot be read, or holds something else than `kind`.
    """
    if not path.is_file() and default is not None:
        return default
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is missing or not JSON; name a folder or file that leccr wrote.") from error
    if not isinstance(content, kind):
        raise UserError(f"{path} is not what was expected; name a folder or file that leccr wrote.")
    return content
