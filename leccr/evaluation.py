"""Evaluation of a trained model on a split, with the protocol written beside every figure."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from safetensors import SafetensorError
from torch import Tensor
from tqdm.auto import tqdm
from transformers import PreTrainedConfig

from modeling_leccr import LeccrModel
from processing import LeccrProcessor, RetrievalCollator
from processing.captions import captions_by_language, check_languages, languages_of
from processing.features import FeatureFile, with_features

from .data import load_data, split_of
from .errors import UserError
from .metrics import format_table, retrieval_metrics, retrieval_ranks

PROTOCOL = {
    "hit_rate": "share of queries with a right answer among the first k, in percent (R@k of CLIP papers)",
    "ties": "count against the model",
    "score": "max over views of the inner product, float32",
}


def load_retriever(checkpoint: str | Path) -> tuple[LeccrModel, LeccrProcessor]:
    """Load a trained model, in eval mode, and its processor, from a folder or by its Hub name.

    Raises:
        UserError: If there is no such checkpoint, it is no LECCR model, or a part of it is missing or broken.
    """
    try:
        # Read as plain fields: the Auto classes would ask whether to trust the code that the checkpoint carries.
        fields, _ = PreTrainedConfig.get_config_dict(checkpoint)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{checkpoint} is no model: there is no folder of this name with a readable config.json, nor does the Hub "
            "give one."
        ) from error
    if not fields:
        raise UserError(f"{checkpoint} is no model: it has no config.json; name a folder that `leccr train` wrote.")
    if fields.get("model_type") != "leccr":
        kind = fields.get("model_type", "different")
        raise UserError(f"{checkpoint} is a {kind} model, not a LECCR one; train one with `leccr train`.")
    try:
        model, report = LeccrModel.from_pretrained(checkpoint, output_loading_info=True)
        # Or else transformers asks at the terminal where a file is missing.
        processor = LeccrProcessor.from_pretrained(checkpoint, trust_remote_code=False)
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise UserError(
            f"{checkpoint} cannot be loaded: a file of the model or of its processor is missing, broken, or does not "
            "fit its config.json; train or download it again."
        ) from error
    wrong = sorted([*report["missing_keys"], *report["unexpected_keys"]])
    if wrong:
        raise UserError(
            f"The weights in {checkpoint} do not fit its config.json; the first that differs is {wrong[0]}."
        )
    return model.eval(), processor


def batched(items: Sequence[Any] | Any, size: int, description: str) -> Iterator[list[Any]]:
    """Yield lists of ``size`` items under a progress bar."""
    for start in tqdm(range(0, len(items), size), desc=description, disable=len(items) <= size):
        yield [items[place] for place in range(start, min(start + size, len(items)))]


@torch.inference_mode()
def encode_images(
    model: LeccrModel,
    processor: LeccrProcessor,
    rows: Dataset,
    features: FeatureFile | None = None,
    descriptions: bool = True,
    batch_size: int = 64,
) -> Tensor:
    """Return the views (N, K, D) of the rows' images on the CPU, float32.

    Args:
        model: A model in eval mode.
        processor: Its processor.
        rows: Rows in the project's schema.
        features: Visual features computed ahead, used in place of the pictures.
        descriptions: Whether to use the rows' descriptions.
        batch_size: Images encoded at once.
    """
    collator = RetrievalCollator(processor)
    source = with_features(rows, features)
    views = []
    for batch in batched(source, batch_size, "Encoding images"):
        inputs = collator.image_inputs(batch, descriptions=descriptions)
        views.append(model.get_image_views(**{name: value.to(model.device) for name, value in inputs.items()}))
    return torch.cat(views).float().cpu()


@torch.inference_mode()
def encode_texts(model: LeccrModel, processor: LeccrProcessor, texts: Sequence[str], batch_size: int = 256) -> Tensor:
    """Return the embeddings (T, D) of texts in any language on the CPU, float32."""
    embeds = [
        model.get_text_features(**processor(text=batch).to(model.device))
        for batch in batched(texts, batch_size, "Encoding texts")
    ]
    return torch.cat(embeds).float().cpu()


def evaluate_retrieval(
    model: LeccrModel,
    processor: LeccrProcessor,
    rows: Dataset,
    languages: Sequence[str] | None = None,
    features: FeatureFile | None = None,
    descriptions: bool = True,
    batch_size: int = 64,
) -> list[dict[str, Any]]:
    """Rank all images for each caption and all captions for each image, one language at a time.

    Args:
        model: A trained model.
        processor: Its processor.
        rows: Rows of one split; all their images are the gallery, in every language.
        languages: Languages of the queries; None means all that the rows have.
        features: Visual features computed ahead, used in place of the pictures.
        descriptions: Whether the gallery uses the rows' descriptions.
        batch_size: Images encoded at once.

    Returns:
        For each language its metrics (:func:`leccr.metrics.retrieval_metrics`) and the protocol they stand on.

    Raises:
        ValueError: If the rows lack one of the languages, or a caption is empty.
    """
    languages = languages_of(rows) if languages is None else list(languages)
    check_languages(rows, languages)
    model.eval()
    views = encode_images(model, processor, rows, features, descriptions, batch_size)
    texts = rows.select_columns(["id", "source_language", "source_captions", "target_captions"])
    captions = [captions_by_language(row) for row in texts]
    described = sum(bool(description) for description in rows["description"]) if descriptions else 0
    results = []
    for language in languages:
        queries = [text for row in captions for text in row.get(language, [])]
        owners = [place for place, row in enumerate(captions) for _ in row.get(language, [])]
        ranks = retrieval_ranks(encode_texts(model, processor, queries), views, torch.tensor(owners))
        protocol = {
            "images": len(views),
            "captions": len(queries),
            "captions_per_image": round(len(queries) / len(set(owners)), 2),
            "caption_origin": sorted(_origins(texts, language)),
            "images_with_description": described,
            **PROTOCOL,
        }
        results.append({"language": language, **retrieval_metrics(ranks), "protocol": protocol})
    return results


def _origins(rows: Iterable[dict[str, Any]], language: str) -> set[str]:
    origins = set()
    for row in rows:
        if row["source_language"] == language and row["source_captions"]:
            origins.add("source")
        origins |= {target["origin"] for target in row["target_captions"] or [] if target["language"] == language}
    return origins


def run_evaluation(
    checkpoint: str,
    data: str,
    split: str = "validation",
    languages: Sequence[str] | None = None,
    output: Path | None = None,
    batch_size: int = 64,
    descriptions: bool = True,
    skip_broken: bool = False,
) -> list[dict[str, Any]]:
    """Evaluate a checkpoint, print a table, and write the figures as JSON: what ``leccr evaluate`` does."""
    splits, features = load_data(data, skip_broken=skip_broken)
    rows = split_of(splits, split, data)
    model, processor = load_retriever(checkpoint)
    results = evaluate_retrieval(model, processor, rows, languages, features, descriptions, batch_size)
    for result in results:
        result["protocol"].update(checkpoint=str(checkpoint), data=str(data), split=split)
    print(format_table(results, label_columns=["language"]))
    if output is not None:
        write_json(output, results)
        print(f"The figures and their protocol are in {output}.")
    return results


def write_json(path: Path, content: Any) -> None:
    """Write JSON so that the file appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    beside.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    beside.replace(path)
