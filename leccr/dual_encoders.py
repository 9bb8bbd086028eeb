"""The processor for a model that starts as a dual encoder of transformers."""

from pathlib import Path

from transformers import AutoConfig, AutoTokenizer

# Not from the top: without torchvision, transformers 5.6 has an empty stand-in there.
from transformers.models.auto.image_processing_auto import AutoImageProcessor

from processing import LeccrProcessor

TEXT_LENGTH, DESCRIPTION_LENGTH = 64, 128


def dual_encoder_processor(name: str | Path) -> LeccrProcessor:
    """Make the processor for ``LeccrModel.from_dual_encoder(name)`` from the dual encoder's own parts.

    Texts and descriptions are cut where its positions end. For SigLIP every text is padded to that length, 64, as it
    was trained.

    Args:
        name: Checkpoint name or folder of the dual encoder.
    """
    config = AutoConfig.from_pretrained(name)
    longest = config.text_config.max_position_embeddings
    # AutoTokenizer would otherwise look for a configuration once more.
    tokenizer = AutoTokenizer.from_pretrained(name, config=config)
    is_siglip = config.text_config.model_type == "siglip_text_model"
    return LeccrProcessor(
        AutoImageProcessor.from_pretrained(name, backend="pil"),
        tokenizer,
        text_max_length=longest if is_siglip else min(TEXT_LENGTH, longest),
        description_max_length=min(DESCRIPTION_LENGTH, longest),
        pad_to_max_length=is_siglip,
    )


__all__ = ["dual_encoder_processor"]
