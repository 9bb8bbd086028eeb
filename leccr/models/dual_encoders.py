"""The processor for a model that starts as a dual encoder of transformers."""

from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoTokenizer

# Not from the top: without torchvision, transformers 5.6 has an empty stand-in there.
from transformers.models.auto.image_processing_auto import AutoImageProcessor

from modeling_leccr.pretrained_leccr import FAMILIES
from processing import LeccrProcessor
from processing.pretrained import load_pretrained

from ..errors import UserError
from .checkpoints import model_type

TEXT_LENGTH, DESCRIPTION_LENGTH = 64, 128


def dual_encoder_processor(name: str | Path, **settings: Any) -> LeccrProcessor:
    """Make the processor for `LeccrModel.from_dual_encoder(name)` from the dual encoder's own parts.

    Texts and descriptions are cut where its positions end. For SigLIP every text is padded to that length, 64, as it
    was trained.

    Args:
        name: Checkpoint name or folder of the dual encoder.
        **settings: Arguments of `processing.LeccrProcessor` to put in place of these.

    Raises:
        UserError: If there is no such checkpoint, or it is another kind of model.
    """
    kind = model_type(name)
    if kind not in FAMILIES:
        raise UserError(
            f"{name} is a {kind or 'different'} model, not a dual encoder known here; give one of these kinds: "
            f"{', '.join(FAMILIES)}."
        )
    config = load_pretrained(AutoConfig, name)
    longest = config.text_config.max_position_embeddings
    # AutoTokenizer would otherwise look for a configuration once more.
    tokenizer = load_pretrained(AutoTokenizer, name, config=config)
    is_siglip = config.text_config.model_type == "siglip_text_model"
    lengths: dict[str, Any] = {
        "text_max_length": longest if is_siglip else min(TEXT_LENGTH, longest),
        "description_max_length": min(DESCRIPTION_LENGTH, longest),
        "pad_to_max_length": is_siglip,
        # Each family's text rule belongs to its tokenizer.
        "normalize_text": False,
    }
    return LeccrProcessor(load_pretrained(AutoImageProcessor, name, backend="pil"), tokenizer, **(lengths | settings))


__all__ = ["dual_encoder_processor"]
