"""Opening what `leccr train` wrote, and other models that a command names."""

from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoModel, AutoTokenizer

from modeling_leccr import CrossLingualModel, LeccrModel
from processing import LeccrProcessor
from processing.pretrained import check_config, load_pretrained

from ..errors import UserError

RETRIEVER = "leccr"
CROSS_LINGUAL = "leccr_cross_lingual"


def model_type(checkpoint: str | Path) -> str | None:
    """Return what kind of model a checkpoint says it is, and None where it does not say.

    Raises:
        UserError: If there is no such checkpoint.
    """
    try:
        # Read as plain fields: the Auto classes would ask whether to trust the code that the checkpoint carries.
        fields = check_config(checkpoint)
    except UserError:
        raise
    except (OSError, ValueError) as error:
        raise UserError(
            f"{checkpoint} is not a model: there is no folder of this name with a readable config.json, nor does the "
            "Hub have one."
        ) from error
    if not fields:
        raise UserError(f"{checkpoint} is not a model: it has no config.json; name a folder that `leccr train` wrote.")
    return fields.get("model_type")


def load_retriever(checkpoint: str | Path) -> tuple[LeccrModel, LeccrProcessor]:
    """Load a trained model, in eval mode, and its processor, from a folder or by its Hub name.

    Raises:
        UserError: If there is no such checkpoint, it is not a LECCR model, or a part of it is missing or broken.
    """
    kind = model_type(checkpoint)
    if kind == CROSS_LINGUAL:
        raise UserError(f"{checkpoint} embeds only texts: it is the first stage of CL2CM, and this needs the second.")
    if kind != RETRIEVER:
        raise UserError(
            f"{checkpoint} is a {kind or 'different'} model, not a LECCR one; train one with `leccr train`."
        )
    return _load(LeccrModel, LeccrProcessor, checkpoint)


def load_text_encoder(checkpoint: str | Path) -> tuple[Any, Any]:
    """Load any model with `get_text_features`, in eval mode, and its tokenizer or processor.

    That is a `CrossLingualModel`, a `LeccrModel`, or a model of transformers such as CLIP.

    Raises:
        UserError: If there is no such checkpoint, it embeds no texts, or a part of it is missing or broken.
    """
    kind = model_type(checkpoint)
    if kind == RETRIEVER:
        return load_retriever(checkpoint)
    if kind == CROSS_LINGUAL:
        return _load(CrossLingualModel, AutoTokenizer, checkpoint)
    model, tokenizer = _load(AutoModel, AutoTokenizer, checkpoint)
    if not hasattr(model, "get_text_features"):
        raise UserError(
            f"{checkpoint} is a {kind or 'different'} model, which has no get_text_features; train a teacher with "
            "`leccr train cross-lingual`."
        )
    return model, tokenizer


def _load(model_class: Any, processor_class: Any, checkpoint: str | Path) -> tuple[Any, Any]:
    try:
        # Pickled weights of our own models are never read: none were ever written.
        only = {"use_safetensors": True} if model_class is not AutoModel else {}
        model, report = load_pretrained(model_class, checkpoint, output_loading_info=True, **only)
        # Without the configuration transformers looks for it once more, and warns that it does not know its kind.
        processor = load_pretrained(processor_class, checkpoint, config=model.config)
    except UserError:
        raise
    except (OSError, RuntimeError, ValueError, SafetensorError, StrictDataclassError) as error:
        raise UserError(
            f"{checkpoint} cannot be loaded: a file of the model or of its processor is missing, broken, or does not "
            "fit its config.json; train or download it again."
        ) from error
    except (TypeError, AttributeError, KeyError, ArithmeticError, RecursionError) as error:
        # Values of other types, such as a text for a number, break the networks' code anywhere.
        raise UserError(
            f"config.json of {checkpoint} has a value that does not fit ({' '.join(str(error).split())[:200]}); train "
            "or download the model again."
        ) from error
    wrong = sorted([*report["missing_keys"], *report["unexpected_keys"]])
    if wrong:
        raise UserError(
            f"The weights in {checkpoint} do not fit its config.json; the first that differs is {wrong[0]}."
        )
    _check_weights(model, str(checkpoint))
    return model.eval(), processor


def _check_weights(model: Any, name: str) -> None:
    """Raise UserError if weights are infinite or undefined, as they are after a training that diverged."""
    for weight_name, weight in model.state_dict().items():
        # One number for each weight: the sum is finite only if all of it is.
        if weight.is_floating_point() and not torch.isfinite(weight.sum(dtype=torch.float32)):
            raise UserError(
                f"The weights of {name} are infinite or undefined numbers (NaN), the first in {weight_name}: its "
                "training diverged, or the file is damaged; train it again with a lower learning rate, or download it "
                "again."
            )
