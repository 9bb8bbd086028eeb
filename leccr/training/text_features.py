"""States of all texts of a data set, computed once with the frozen layers of a text tower."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor
from tqdm.auto import tqdm

from modeling_leccr.text_encoder_leccr import TextTower
from processing.caption_collator import tokenize
from processing.caption_embeddings import caption_texts
from processing.device import check_names, choose_device, to_device
from processing.sentences import split_sentences
from processing.text_rule_leccr import is_blank
from processing.text_states import save_text_states, text_key, token_array
from processing.writing import own_folder

from ..data.loading import load_data
from ..data.text_states import POOLED, check_frozen, text_states_path
from ..defaults import EMBEDDING_BATCH
from ..errors import UserError, settings_of_the_user
from ..models.build import build_model, build_processor, training_texts
from ..models.dual_encoders import load_text_encoder
from ..recipes import Recipe
from .features import STORES, check_same_run, read_part, write_part
from .text_cache import check_layers, padded

PART_TEXTS = 4096
TOKENIZED_ROWS = 256
PROBES = 8


class Text(NamedTuple):
    """The token ids (L,) of a text, and whether its pooled state suffices."""

    ids: np.ndarray
    pooled: bool


def run_text_features(
    data: str,
    recipe: Recipe,
    store: str = "fp16",
    batch_size: int = EMBEDDING_BATCH,
    device: str = "auto",
    dtype: str = "auto",
) -> Path:
    """Write what the frozen layers of a text tower say of all texts next to the data: `leccr features --texts`.

    Every caption and, for a network of pictures, every description of all splits is tokenized as training does it.
    Finished parts stay in a folder next to the file until all are done, so that an interrupted run resumes.

    Args:
        data: Folder of the data set.
        recipe: Its text tower, processor, and what of the tower is frozen.
        store: How states are stored: `fp16` or `fp32`.
        batch_size: Texts encoded per batch.
        device: Where the tower runs, as for `processing.device.choose_device`.
        dtype: Its precision, as for `processing.device.choose_dtype`.

    Returns:
        The file.

    Raises:
        UserError: If the file exists already, nothing of the tower is frozen or its layers cannot run by themselves,
            or there is no such device, precision or store.
    """
    if store not in STORES:
        raise UserError(f"--store is {store!r}, but has to be one of {', '.join(STORES)}.")
    chosen = choose_device(device)
    check_names(dtype=dtype)
    settings = check_frozen(recipe)
    splits, _ = load_data(data)
    target = text_states_path(data, recipe)
    if target.exists():
        raise UserError(f"{target} exists already; remove it to compute the texts again.")
    processor = build_processor(recipe, training_texts(splits.get("train", next(iter(splits.values())))))
    tower = to_device(load_text_tower(recipe, processor), chosen, dtype)
    texts = collect_texts(recipe, processor, tower, splits.values(), settings)
    probes = [texts[key].ids.tolist() for key in list(texts)[:: max(1, len(texts) // PROBES)][:PROBES]]
    check_layers(tower, settings, probes)
    parts = own_folder(target.with_suffix(".parts"))
    digest = hashlib.blake2b("".join(texts).encode(), digest_size=8).hexdigest()
    check_same_run(parts, {**settings, "store": store, "dtype": dtype, "texts": digest})
    paths = _write_parts(parts, tower, list(texts.values()), settings["layers"], STORES[store], batch_size)
    states = (state for path in paths for state in read_part(path))
    precision = str(tower.model.dtype).removeprefix("torch.")
    save_text_states(target, list(texts), states, settings, probes, precision)
    for path in parts.iterdir():
        path.unlink()
    parts.rmdir()
    return target


def load_text_tower(recipe: Recipe, processor: Any) -> TextTower:
    """Load the text tower that training by a recipe starts from, in eval mode."""
    if recipe.dual_encoder is not None:
        return build_model(recipe, processor).text.tower.eval()
    if recipe.warm_start is not None:
        return load_text_encoder(recipe.warm_start)[0].text.tower
    with settings_of_the_user(f"Recipe {recipe.name}"):
        pooling, joined = recipe.model.get("text_pooling", "cls"), recipe.model.get("text_layers")
        return TextTower.from_pretrained(recipe.text, pooling, joined)


def collect_texts(
    recipe: Recipe, processor: Any, tower: TextTower, splits: Iterable[Dataset], settings: dict[str, Any]
) -> dict[str, Text]:
    """Return all texts that training and validation by a recipe can draw, by their keys, the shortest first.

    Args:
        recipe: Says whether captions are seen in lower case, and whether descriptions are read.
        processor: What turns them into token ids.
        tower: What reads them.
        splits: Rows in the project's schema.
        settings: What `check_frozen` returned.
    """
    captions_pooled, descriptions_pooled = (settings[kind] == POOLED for kind in ("captions", "descriptions"))
    described = recipe.network == "cross-modal" and recipe.model.get("description_config") is None
    texts: dict[str, Text] = {}
    for rows in splits:
        for start in range(0, len(rows), TOKENIZED_ROWS):
            part = rows.select(range(start, min(start + TOKENIZED_ROWS, len(rows))))
            for ids in _caption_ids(recipe, processor, tower, part):
                texts.setdefault(text_key(ids), Text(ids, captions_pooled))
            for ids in _description_ids(processor, tower, part) if described else ():
                texts[text_key(ids)] = Text(ids, descriptions_pooled)
    return dict(sorted(texts.items(), key=lambda item: len(item[1].ids)))


def _caption_ids(recipe: Recipe, processor: Any, tower: TextTower, rows: Dataset) -> Iterator[np.ndarray]:
    captions = [text for row in rows.select_columns(_CAPTIONS) for text in caption_texts(row)]
    captions = [text for text in captions if text and not is_blank(text)]
    share = recipe.lower_case_share
    forms = [*(captions if share < 1 else ()), *(text.lower() for text in captions if share > 0)]
    if not forms:
        return
    batch = tokenize(processor, forms)
    ids, mask = tower.padded(batch["input_ids"], batch["attention_mask"])
    yield from _seen(tower, ids, mask)


_CAPTIONS = ["id", "source_captions", "target_captions"]


def _description_ids(processor: Any, tower: TextTower, rows: Dataset) -> Iterator[np.ndarray]:
    """Yield descriptions whole and by sentence, whichever of the two a recipe's slots need."""
    described = [text for text in rows["description"] if text and not is_blank(text)]
    texts = [*described, *(sentence for text in described for sentence in split_sentences(text))]
    if texts:
        batch = processor(descriptions=[[text] for text in texts] if _by_sentence(processor) else texts)
        ids, mask = (batch[f"description_{name}"].flatten(0, -2) for name in ("input_ids", "attention_mask"))
        yield from _seen(tower, ids, mask)


def _by_sentence(processor: Any) -> bool:
    return bool(getattr(processor, "sentence_slots", False))


def _seen(tower: TextTower, input_ids: Tensor, attention_mask: Tensor) -> Iterator[np.ndarray]:
    """Yield the token ids (L,) of each text that the tower sees."""
    for ids, own in zip(token_array(input_ids), tower.seen(attention_mask).bool().numpy(), strict=True):
        yield ids[own]


def _write_parts(
    parts: Path, tower: TextTower, texts: Sequence[Text], layers: int | None, store: torch.dtype, batch_size: int
) -> list[Path]:
    """Compute and write what is not written yet, and return all parts."""
    paths = []
    with tqdm(total=len(texts), unit="text", desc="Computing texts") as progress:
        for start in range(0, len(texts), PART_TEXTS):
            part = texts[start : start + PART_TEXTS]
            paths.append(parts / f"{start:010d}.safetensors")
            if paths[-1].exists():
                progress.update(len(part))
                continue
            encoded = []
            for state in encode_texts(tower, part, layers, batch_size):
                encoded.append(state.to(store))
                progress.update()
            write_part(paths[-1], encoded)
    return paths


@torch.inference_mode()
def encode_texts(
    tower: TextTower, texts: Sequence[Text], layers: int | None, batch_size: int = EMBEDDING_BATCH
) -> Iterator[Tensor]:
    """Yield the states (L, H) of each text, or its pooled one (1, H), on the CPU.

    Args:
        tower: The text tower, in eval mode.
        texts: Token ids.
        layers: How many layers to run, None for all.
        batch_size: Texts per batch.
    """
    device = next(tower.parameters()).device
    for start in range(0, len(texts), batch_size):
        part = texts[start : start + batch_size]
        ids, mask = padded([text.ids for text in part], tower.pad_token)
        ids, mask = ids.to(device), mask.to(device)
        states = tower.lower(ids, mask, layers)
        pooled = tower.pool(states, mask, ids) if any(text.pooled for text in part) else states
        for number, text in enumerate(part):
            own = pooled[number : number + 1] if text.pooled else states[number, : len(text.ids)]
            yield own.cpu()


__all__ = ["Text", "collect_texts", "encode_texts", "load_text_tower", "run_text_features"]
