"""Opening what `leccr train` wrote, and other models that a command names."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging

from modeling_leccr import CrossLingualModel, LeccrModel
from processing import LeccrProcessor
from processing.pretrained import check_config, load_pretrained

from ..errors import UserError, no_model

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
        raise no_model(checkpoint) from error
    if not fields:
        raise no_model(checkpoint)
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
    return load_parts(checkpoint, LeccrModel, lambda config: load_pretrained(LeccrProcessor, checkpoint, config=config))


def load_cross_lingual(checkpoint: str | Path) -> tuple[CrossLingualModel, Any]:
    """Load the first stage of CL2CM, in eval mode, and its tokenizer; errors as for `load_retriever`."""
    return load_parts(
        checkpoint, CrossLingualModel, lambda config: load_pretrained(AutoTokenizer, checkpoint, config=config)
    )


def load_parts(
    checkpoint: str | Path, model_class: Any, load_processor: Callable[[Any], Any], trust_remote_code: bool = False
) -> tuple[Any, Any]:
    """Load a model, in eval mode, and its processor.

    Args:
        checkpoint: Folder or Hub name.
        model_class: One of our own classes, or `AutoModel` for models of others.
        load_processor: Returns the processor, given the model's configuration; without it, transformers would look for
            the configuration once more, and warn that it does not know its kind.
        trust_remote_code: Run code that the checkpoint carries, if it is of a kind that transformers does not know.

    Raises:
        UserError: If a part of it is missing, broken, or needs code that is not trusted.
    """
    ours = model_class is not AutoModel
    # Pickled weights of our own models are never read: none were ever written.
    options: dict[str, Any] = {"use_safetensors": True} if ours else {"trust_remote_code": trust_remote_code}
    try:
        with quiet():
            model, report = load_pretrained(model_class, checkpoint, output_loading_info=True, **options)
            processor = load_processor(model.config)
    except UserError:
        raise
    except ImportError as error:
        message = " ".join(str(error).split())[:200]
        raise UserError(f"{checkpoint} needs a library that is not installed: {message}") from error
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
    # Checkpoints of others may have more than the network uses, such as pooling layers and numbers of positions.
    wrong = sorted([*report["missing_keys"], *(report["unexpected_keys"] if ours else ())])
    if wrong:
        raise UserError(
            f"The weights in {checkpoint} do not fit its config.json; the first that differs is {wrong[0]}."
        )
    _check_weights(model, str(checkpoint))
    return model.eval(), processor


@contextmanager
def quiet() -> Iterator[None]:
    """Keep progress bars and warnings of transformers away from the answers."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


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
