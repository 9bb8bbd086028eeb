"""Weights of the authors' LECCR release as an ordinary LECCR folder: what `leccr convert-official` does."""

import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoTokenizer, BertConfig, CLIPImageProcessorPil, CLIPVisionConfig

from modeling_leccr import LeccrConfig, LeccrModel
from processing import LeccrProcessor
from processing.pretrained import load_pretrained
from processing.text_rule_leccr import add_caption_rule
from processing.tokenizers import keeping_normalizer
from processing.writing import atomic_folder

from ..errors import UserError
from .official_names import convert, listed

TOKENIZER = "google-bert/bert-base-multilingual-cased"
# As the authors test: α of videos, and the tokens of a description.
VIDEO_ALPHA = 0.9
DESCRIPTION_LENGTH = 200
# What the configuration is read from.
SIZES = (
    "temp",
    "queries",
    "text_encoder.embeddings.word_embeddings.weight",
    "text_encoder.embeddings.position_embeddings.weight",
    "text_encoder.encoder.layer.0.intermediate.dense.weight",
    "text_proj.weight",
    "caption_proj.weight",
)
SIZES_OF_CLIP = ("clip_encoder.visual.conv1.weight", "clip_encoder.visual.positional_embedding")


def convert_official(
    checkpoint: str | Path, output: str | Path, tokenizer: str = TOKENIZER, text_config: str | None = None
) -> LeccrModel:
    """Write a checkpoint of the authors' release as a folder of model and processor, and return the model.

    It is given what it was trained and tested with: captions and queries in lower case, punctuation as spaces and 30
    words of them (`processing.text_rule_leccr.caption_rule`, saved in the tokenizer), descriptions as they are with up
    to 200 tokens, and α = 0.9 for videos.

    Args:
        checkpoint: The `checkpoint_best.pth` of an image or of a video model.
        output: New or empty folder.
        tokenizer: Name or folder of the tokenizer that the text encoder was trained with.
        text_config: Name, folder or config.json of the text encoder; None reads the sizes from the weights.

    Raises:
        UserError: If the file is not such a checkpoint, weights are missing or unknown, sizes contradict each other,
            the output has files in it, or the tokenizer is not there or does not fit.
    """
    output = Path(output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"{output} is not empty; choose a new folder.")
    model = official_model(read_official(checkpoint), _text_config(text_config))
    processor = _processor(tokenizer, model.config)
    with atomic_folder(output) as part:
        model.save_pretrained(part)
        processor.save_pretrained(part)
    return model


def read_official(checkpoint: str | Path) -> dict[str, Tensor]:
    """Return the weights in the authors' file; nothing in it is run.

    Raises:
        UserError: If there is no such file, or it holds something else.
    """
    path = Path(checkpoint)
    if not path.is_file():
        raise UserError(f"There is no file {path}; name the checkpoint_best.pth of the LECCR release.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, OSError, EOFError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read as plain weights: it is broken, or it holds more than weights, which could run "
            "code; download it again."
        ) from error
    weights = content.get("model") if isinstance(content, dict) else None
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise UserError(f'{path} has no weights under "model", where the LECCR release keeps them.')
    return weights


def official_model(official: Mapping[str, Tensor], text_config: BertConfig | None = None) -> LeccrModel:
    """Return a model in eval mode with the authors' weights.

    Raises:
        UserError: If weights are missing or unknown, or do not fit `text_config`.
    """
    weights = convert(official)
    model = LeccrModel(official_config(official, text_config)).eval()
    # The authors have no token for images without a description, so it stays as it was initialised.
    own = {"image.interaction.no_description.weight"}
    expected = {name: value.shape for name, value in model.state_dict().items() if name not in own}
    missing, unknown = sorted(expected.keys() - weights.keys()), sorted(weights.keys() - expected.keys())
    if missing:
        raise UserError(f"The checkpoint lacks {listed(missing)} (under the names that they have here).")
    if unknown:
        raise UserError(f"The checkpoint has weights that do not fit its sizes: {listed(unknown)}.")
    for name, shape in expected.items():
        if weights[name].shape != shape:
            raise UserError(f"{name} is of shape {tuple(weights[name].shape)}, but {tuple(shape)} was expected.")
    model.load_state_dict(weights, strict=False)
    return model


def official_config(official: Mapping[str, Tensor], text_config: BertConfig | None = None) -> LeccrConfig:
    """Return the configuration under which a model equals the authors' one, read from the shapes of its weights."""
    has_clip = any(name.startswith("clip_encoder.visual.") for name in official)
    missing = [name for name in (*SIZES, *(SIZES_OF_CLIP if has_clip else ())) if name not in official]
    if missing:
        raise UserError(f"This is not a LECCR checkpoint, or an incomplete one: it lacks {listed(missing)}.")
    width = official["caption_proj.weight"].shape[0]
    fields: dict[str, Any] = {"visual_feature_dim": width, "vision_projection": False, "alpha": VIDEO_ALPHA}
    if has_clip:
        fields = {"vision_config": _clip_config(official, width)}
    return LeccrConfig(
        text_config=text_config or _bert_config(official),
        projection_dim=official["text_proj.weight"].shape[0],
        interaction_dim=width,
        visual_layers=_depth(official, "vid_encoder.layers."),
        num_slots=official["queries"].shape[0],
        slot_layers=_depth(official, "crossattn_query.layers."),
        interaction_layers=_depth(official, "crossattn.layers."),
        slot_anchor="none",
        normalize_slots=False,
        signed_diversity=True,
        **fields,
    )


def _clip_config(official: Mapping[str, Tensor], width: int) -> CLIPVisionConfig:
    stem, patch_embedding, positions = "clip_encoder.visual.", *(official[name] for name in SIZES_OF_CLIP)
    hidden, _, patch, _ = patch_embedding.shape
    # The authors store the positions as they are after interpolation: a square of patches after the class token.
    side = round((len(positions) - 1) ** 0.5)
    if side**2 != len(positions) - 1:
        raise UserError(f"{SIZES_OF_CLIP[1]} has {len(positions)} rows, which is not a square of patches and one more.")
    return CLIPVisionConfig(
        image_size=side * patch,
        patch_size=patch,
        num_hidden_layers=_depth(official, stem + "transformer.resblocks."),
        hidden_size=hidden,
        intermediate_size=4 * hidden,
        num_attention_heads=hidden // 64,
        projection_dim=width,
        hidden_act="quick_gelu",
    )


def _bert_config(official: Mapping[str, Tensor]) -> BertConfig:
    stem = "text_encoder."
    vocabulary, hidden = official[f"{stem}embeddings.word_embeddings.weight"].shape
    if hidden % 64:
        raise UserError(
            f"The text encoder is {hidden} wide, which is not a size of BERT, so the number of its attention heads "
            "is unknown; give its configuration with --text-config."
        )
    return BertConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_hidden_layers=_depth(official, f"{stem}encoder.layer."),
        num_attention_heads=hidden // 64,
        intermediate_size=official[f"{stem}encoder.layer.0.intermediate.dense.weight"].shape[0],
        max_position_embeddings=official[f"{stem}embeddings.position_embeddings.weight"].shape[0],
    )


def _depth(names: Iterable[str], stem: str) -> int:
    """Return how many numbered layers there are under `stem`."""
    return len({name.removeprefix(stem).split(".")[0] for name in names if name.startswith(stem)})


def _text_config(name: str | None) -> BertConfig | None:
    if name is None:
        return None
    try:
        config = load_pretrained(BertConfig, name)
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"--text-config {name} is not a BERT configuration: name a model or a config.json.") from error
    return config


def _processor(tokenizer: str, config: LeccrConfig) -> LeccrProcessor:
    try:
        loaded = load_pretrained(AutoTokenizer, tokenizer)
    except (OSError, ValueError) as error:
        raise UserError(
            f"The tokenizer {tokenizer} does not exist; name another, or a folder, with --tokenizer."
        ) from error
    if len(loaded) > config.text_config.vocab_size:
        raise UserError(
            f"The tokenizer {tokenizer} has {len(loaded)} pieces, but the text encoder only "
            f"{config.text_config.vocab_size}; name the one that it was trained with by --tokenizer."
        )
    # The video model takes ready-made features, not pictures; its processor is only asked for texts.
    side = 224 if config.vision_config is None else config.vision_config.image_size
    images = CLIPImageProcessorPil(size={"height": side, "width": side}, do_center_crop=False)
    longest = config.text_config.max_position_embeddings
    # Captions are cut by their words, which is part of their rule; where the positions end is the last limit.
    lengths = {"text_max_length": longest, "description_max_length": min(DESCRIPTION_LENGTH, longest)}
    try:
        add_caption_rule(loaded)
    except AttributeError as error:
        raise UserError(
            f"The tokenizer {tokenizer} is not a fast one, which can keep the rule for captions; name another with "
            "--tokenizer."
        ) from error
    return LeccrProcessor(images, keeping_normalizer(loaded), **lengths, normalize_text=False)


__all__ = ["convert_official", "official_config", "official_model", "read_official"]
