"""Dual encoders of transformers: pictures and texts as each family was trained with them, and searched as they are."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import AutoConfig, AutoModel, AutoTokenizer, BatchFeature, GemmaTokenizer, Siglip2Tokenizer
from transformers.image_processing_base import ImageProcessingMixin

# Not from the top: without torchvision, transformers 5.6 has an empty stand-in there.
from transformers.models.auto.image_processing_auto import AutoImageProcessor

from modeling_leccr.pretrained_leccr import FAMILIES
from processing import LeccrProcessor, RetrievalCollator
from processing.pictures_leccr import visible_picture
from processing.pretrained import check_config, load_pretrained

from ..arguments import SENTENCE_TRANSFORMERS
from ..errors import UserError
from .checkpoints import CROSS_LINGUAL, RETRIEVER, load_cross_lingual, load_parts, load_retriever, model_type, quiet

SEARCHABLE = (*FAMILIES, "siglip2", "chinese_clip")
"""Kinds of models, as `model_type` names them, that are searched without training."""
DESCRIPTION_LENGTH = 128
# Their positions are counted from behind the number of the padding token.
SHIFTED_POSITIONS = ("altclip_text_model", "camembert", "roberta", "xlm-roberta", "xlm-roberta-xl")
TEXT_METHODS, IMAGE_METHODS = ("get_text_features", "encode_texts"), ("get_image_features", "encode_images")
"""What embeds, in models of transformers and in some that carry code of their own."""
UNKNOWN_LENGTH = 512
"""Tokens of a text where neither the tokenizer nor the configuration says how many there may be."""


class DualEncoder(nn.Module):
    """A dual encoder with the methods of a `LeccrModel`: a picture is one view, and all embeddings have unit length.

    Args:
        model: A model with `get_text_features` and `get_image_features`, or what else `TEXT_METHODS` and
            `IMAGE_METHODS` name.
        width: Numbers of an embedding, D.
    """

    def __init__(self, model: Any, width: int) -> None:
        super().__init__()
        self.model = model
        config = model.config
        self.config = SimpleNamespace(
            model_type=config.model_type,
            vision_config=getattr(config, "vision_config", config),
            projection_dim=width,
            num_slots=0,
            alpha=1.0,
        )
        self.sees_padding = _sees_padding(config)

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Its precision."""
        return next(self.parameters()).dtype

    def get_text_features(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Embed texts (B, L): (B, D)."""
        mask = {} if self.sees_padding else {"attention_mask": attention_mask}
        return _unit(_method(self.model, TEXT_METHODS)(input_ids=input_ids, **mask))

    def get_image_features(self, pixel_values: Tensor | None = None, **more: Tensor) -> Tensor:
        """Embed pictures: (B, D).

        Args:
            pixel_values: (B, 3, H, W), or patches (B, N, F) of pictures of any shape.
            **more: What belongs to such patches: `pixel_attention_mask` (B, N) and `spatial_shapes` (B, 2).

        Raises:
            UserError: If there are visual features in place of pictures.
        """
        if pixel_values is None:
            raise UserError(f"A {self.config.model_type} model takes pictures, and no visual features.")
        return _unit(_method(self.model, IMAGE_METHODS)(pixel_values=pixel_values.to(self.dtype), **more))

    def get_image_views(self, **pictures: Tensor) -> Tensor:
        """Return the views (B, 1, D); arguments as for `get_image_features`."""
        return self.get_image_features(**pictures).unsqueeze(1)

    def encode_images(self, output_attentions: bool = False, **pictures: Tensor) -> Any:
        """Return what the page asks for: `image_embeds` (B, D) and `image_views` (B, 1, D), and no slots."""
        embeds = self.get_image_features(**pictures)
        return SimpleNamespace(image_embeds=embeds, image_views=embeds.unsqueeze(1), slot_embeds=None)


class PatchProcessor(LeccrProcessor):
    """The processor of a model of patches, such as SigLIP 2 NaFlex: a picture keeps its proportions."""

    def __call__(  # type: ignore[override]
        self, images: Any = None, text: Any = None, descriptions: Any = None, **options: Any
    ) -> BatchFeature:
        """Prepare pictures and texts; arguments as for `LeccrProcessor`.

        Returns:
            Of pictures `pixel_values` (B, N, F), `pixel_attention_mask` (B, N) and `spatial_shapes` (B, 2); the rest is
            as of a `LeccrProcessor`.
        """
        batch = BatchFeature() if images is None else self._patches(images)
        if images is None or text is not None or descriptions is not None:
            batch.update(super().__call__(text=text, descriptions=descriptions, **options))
        return batch

    def _patches(self, images: Any) -> BatchFeature:
        pictures = [images] if isinstance(images, Image.Image) else images
        return self.image_processor(
            [visible_picture(picture, self.background) for picture in pictures], return_tensors="pt"
        )


class WholeCollator(RetrievalCollator):
    """Shows a model pictures decoded in all their detail, so that it gives its own embeddings to the last digits."""

    def picture_side(self, augment: Callable[[Any], Any] | None = None) -> int | None:
        """Return None: the whole picture is needed."""
        return None


def load_dual_encoder(
    name: str | Path, text_only: bool = False, trust_remote_code: bool = False
) -> tuple[DualEncoder, LeccrProcessor]:
    """Load a dual encoder of transformers, in eval mode, and its processor.

    Args:
        name: Folder or Hub name.
        text_only: Whether texts are all that it has to embed, so that it needs no image processor.
        trust_remote_code: Run code that the checkpoint carries, if it is of a kind that transformers does not know.

    Raises:
        UserError: If there is no such checkpoint, it is another kind of model, needs code that is not trusted, or a
            part of it is missing or broken.
    """
    kind = model_type(name)
    is_known = kind in SEARCHABLE
    if not is_known and "auto_map" not in check_config(name):
        raise UserError(_refusal(name, kind, text_only))
    trusted = trust_remote_code and not is_known
    model, processor = load_parts(name, AutoModel, lambda config: _processor(name, config, text_only, trusted), trusted)
    if not _method(model, TEXT_METHODS) or not (text_only or _method(model, IMAGE_METHODS)):
        raise UserError(_refusal(name, kind, text_only))
    return DualEncoder(model, _width(name, model, processor)), processor


def _width(name: str | Path, model: Any, processor: LeccrProcessor) -> int:
    """Return the numbers of an embedding, by embedding a text."""
    rows = getattr(_text_config(model.config), "vocab_size", None)
    # Tokens that were added later, and are in no text, need no row.
    if rows is not None and processor.tokenizer.vocab_size > rows:
        raise UserError(
            f"{name} cannot embed all texts ({processor.tokenizer.vocab_size} tokens, of which it knows {rows}): its "
            "tokenizer does not fit the model; download the model again."
        )
    try:
        with torch.inference_mode():
            return DualEncoder(model, 0).get_text_features(**processor(text="a")).shape[-1]
    except (IndexError, OverflowError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(
            f"{name} cannot embed a text ({' '.join(str(error).split())[:200]}): its tokenizer does not fit the model; "
            "download the model again."
        ) from error


def load_text_encoder(checkpoint: str | Path) -> tuple[Any, Any]:
    """Load any model with `get_text_features`, in eval mode, and its tokenizer or processor.

    That is a `CrossLingualModel`, a `LeccrModel`, or a dual encoder of transformers such as CLIP.

    Raises:
        UserError: If there is no such checkpoint, it embeds no texts, or a part of it is missing or broken.
    """
    kind = model_type(checkpoint)
    if kind == RETRIEVER:
        return load_retriever(checkpoint)
    return load_cross_lingual(checkpoint) if kind == CROSS_LINGUAL else load_dual_encoder(checkpoint, text_only=True)


def dual_encoder_processor(name: str | Path, **settings: Any) -> LeccrProcessor:
    """Make the processor for `LeccrModel.from_dual_encoder(name)` from the dual encoder's own parts.

    Texts become what the family was trained with. They are cut where its positions end; for SigLIP every text is padded
    to that length, and for SigLIP 2 it is lower-cased.

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
    with quiet():
        return _processor(name, load_pretrained(AutoConfig, name), **settings)


def _processor(
    name: str | Path, config: Any, text_only: bool = False, trusted: bool = False, **settings: Any
) -> LeccrProcessor:
    tokenizer = _tokenizer(name, config, trusted)
    longest = _longest(config, tokenizer)
    fields: dict[str, Any] = {
        "text_max_length": longest,
        "description_max_length": min(DESCRIPTION_LENGTH, longest),
        "pad_to_max_length": _sees_padding(config),
        # Each family's text rule belongs to its tokenizer.
        "normalize_text": False,
    }
    # The processors of others may know no backend.
    backend = {"trust_remote_code": True} if trusted else {"backend": "pil"}
    # A processor has to have one for pictures.
    images = ImageProcessingMixin() if text_only else load_pretrained(AutoImageProcessor, name, **backend)
    by_patches = "spatial_shapes" in getattr(images, "model_input_names", ())
    return (PatchProcessor if by_patches else LeccrProcessor)(images, tokenizer, **(fields | settings))


def _tokenizer(name: str | Path, config: Any, trusted: bool) -> Any:
    # AutoTokenizer would otherwise look for a configuration once more.
    tokenizer = load_pretrained(AutoTokenizer, name, trusted, config=config)
    if _sees_padding(config) and isinstance(tokenizer, GemmaTokenizer):
        # SigLIP 2, which was trained on lower-cased texts; its checkpoints name a tokenizer that leaves the case.
        tokenizer = load_pretrained(Siglip2Tokenizer, name)
    # Where the files are missing, transformers makes a tokenizer that knows nothing.
    if len(tokenizer) <= len(set(tokenizer.all_special_tokens)):
        raise UserError(
            f"{name} has no vocabulary for its tokenizer: tokenizer.json or the like is missing; download the model "
            "again, or give another one."
        )
    return tokenizer


def _longest(config: Any, tokenizer: Any) -> int:
    """Return the most tokens of a text, special ones included: where the tokenizer or the positions end."""
    text = _text_config(config)
    positions = getattr(text, "max_position_embeddings", None) or UNKNOWN_LENGTH
    if getattr(text, "model_type", None) in SHIFTED_POSITIONS:
        positions -= text.pad_token_id + 1
    return min(tokenizer.model_max_length, positions)


def _sees_padding(config: Any) -> bool:
    """Return whether a model was trained on texts padded to one length, the padding unmasked, as SigLIP was."""
    return getattr(_text_config(config), "model_type", None) in ("siglip_text_model", "siglip2_text_model")


def _text_config(config: Any) -> Any:
    return getattr(config, "text_config", config)


def _method(model: Any, names: Sequence[str]) -> Any:
    """Return the first of some methods that a model has, or None."""
    return next((getattr(model, name) for name in names if hasattr(model, name)), None)


def _unit(features: Any) -> Tensor:
    # Models of transformers itself return more than the embeddings.
    return normalize(getattr(features, "pooler_output", features).float(), dim=-1)


def _refusal(name: str | Path, kind: str | None, text_only: bool) -> str:
    what = f"{name} is a {kind or 'different'} model"
    if text_only:
        return f"{what}, which has no get_text_features; train a teacher with `leccr train cross-lingual`."
    return (
        f"{what}, which does not embed texts and pictures in one space; give a model that `leccr train` wrote, a dual "
        f"encoder ({', '.join(SEARCHABLE)}), or {SENTENCE_TRANSFORMERS}NAME for a model of sentence-transformers."
    )


__all__ = [
    "SEARCHABLE",
    "DualEncoder",
    "PatchProcessor",
    "WholeCollator",
    "dual_encoder_processor",
    "load_dual_encoder",
    "load_text_encoder",
]
