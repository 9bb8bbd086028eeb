"""Evaluation of a trained model on a split, with the protocol next to every figure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset

from processing.captions import captions_by_language, check_languages, languages_of
from processing.device import choose_device
from processing.features import FeatureFile
from processing.notes import note
from processing.text_rule_leccr import MOSTLY_UNKNOWN
from processing.writing import write_json

from ..arguments import SENTENCE_TRANSFORMERS
from ..data.facts import SCENES
from ..data.features import choose_features
from ..data.loading import load_data, split_of, without_broken_pictures
from ..defaults import EVALUATION_BATCH
from ..errors import UserError
from ..models.checkpoints import CROSS_LINGUAL, model_type
from ..models.encoder import Encoder
from ..models.sentence_views import with_sentences
from .metrics import (
    IMAGE_DIRECTIONS,
    SENTENCE_DIRECTIONS,
    format_table,
    retrieval_metrics,
    retrieval_ranks,
    sentence_gallery,
)
from .ranked import RankedQueries

PROTOCOL = {
    "hit_rate": "share of queries with a right answer among the first k, in percent (R@k of CLIP papers)",
    "ties": "count against the model",
    "score": "max over views of the inner product, float32",
}
SENTENCE_PROTOCOL = {**PROTOCOL, "score": "max over the row's source captions of the inner product, float32"}
UNREAD = "captions_mostly_unknown"
TEXT_COLUMNS = ["id", "source_language", "source_captions", "target_captions"]


@dataclass(frozen=True)
class EvaluationOptions:
    """What can be chosen for `leccr evaluate`.

    Attributes:
        split: Split to evaluate.
        languages: Languages of the queries; None means all that the data have.
        descriptions: Whether the gallery uses the rows' descriptions.
        description_weight: How much the sentences of descriptions count for a dual encoder; None if they do not.
        batch_size: Images, or captions of a text-only model, encoded per batch.
        skip_broken: Leave out pictures and videos that cannot be decoded.
        device: Where the model runs, as for `processing.device.choose_device`.
        dtype: Its precision, as for `processing.device.choose_dtype`.
        trust_remote_code: Run code that it carries, if it is of a kind that the libraries do not know.
    """

    split: str = "validation"
    languages: Sequence[str] | None = None
    descriptions: bool = True
    description_weight: float | None = None
    batch_size: int = EVALUATION_BATCH
    skip_broken: bool = False
    device: str = "auto"
    dtype: str = "auto"
    trust_remote_code: bool = False


def evaluate_retrieval(
    encoder: Encoder,
    rows: Dataset,
    languages: Sequence[str] | None = None,
    features: FeatureFile | None = None,
    descriptions: bool = True,
    batch_size: int = EVALUATION_BATCH,
) -> list[dict[str, Any]]:
    """Rank all images for each caption and all captions for each image, one language at a time.

    Args:
        encoder: A model, such as `Encoder.load(name)`, or
            `ModelEncoder(trainer.model, trainer.processing_class)`.
        rows: Rows of one split; all their images are the gallery, in every language.
        languages: Languages of the queries; None means all that the rows have.
        features: Visual features computed ahead, used in place of the pictures.
        descriptions: Whether the gallery uses the rows' descriptions.
        batch_size: Images encoded per batch.

    Returns:
        For each language its metrics (`leccr.evaluation.metrics.retrieval_metrics`) and the protocol behind them.

    Raises:
        UserError: If the rows lack one of the languages, or a caption is empty.
    """
    return [ranked.result for ranked in rank_retrieval(encoder, rows, languages, features, descriptions, batch_size)]


def rank_retrieval(
    encoder: Encoder,
    rows: Dataset,
    languages: Sequence[str] | None = None,
    features: FeatureFile | None = None,
    descriptions: bool = True,
    batch_size: int = EVALUATION_BATCH,
) -> Iterator[RankedQueries]:
    """Do what `evaluate_retrieval` does, and yield one language after the other with everything that was ranked."""
    languages = languages_of(rows) if languages is None else list(languages)
    check_languages(rows, languages)
    views = torch.from_numpy(encoder.row_views(rows, features, descriptions, batch_size))
    texts = rows.select_columns(TEXT_COLUMNS)
    captions = [captions_by_language(row) for row in texts]
    described = sum(bool(description) for description in rows["description"]) if descriptions else 0
    for language in languages:
        queries = [text for row in captions for text in row.get(language, [])]
        owners = torch.tensor([index for index, row in enumerate(captions) for _ in row.get(language, [])])
        text_embeds = torch.from_numpy(encoder.texts(queries))
        ranks = retrieval_ranks(text_embeds, views, owners)
        protocol = {
            "images": len(views),
            "captions": len(queries),
            "captions_per_image": round(len(queries) / len(owners.unique()), 2),
            UNREAD: _unread(encoder, queries),
            "caption_origin": sorted(_origins(texts, language)),
            "images_with_description": described,
            **PROTOCOL,
        }
        result = {"language": language, **retrieval_metrics(ranks), "protocol": protocol}
        yield RankedQueries(result, queries, owners, text_embeds, views, ranks)


def evaluate_sentences(
    encoder: Encoder, rows: Dataset, languages: Sequence[str] | None = None, batch_size: int = EVALUATION_BATCH
) -> list[dict[str, Any]]:
    """Rank all rows' source captions for each target caption, and the other way round, one language at a time.

    Args:
        encoder: A text encoder, such as a trained `modeling_leccr.CrossLingualModel` with its tokenizer.
        rows: Rows of one split; their pictures are not looked at.
        languages: Target languages; None means all that the rows have.
        batch_size: Texts encoded per batch.

    Returns:
        For each target language its metrics (`leccr.evaluation.metrics.sentence_metrics`) and their protocol.

    Raises:
        UserError: If the rows lack one of the languages, there is none, or a caption is empty.
    """
    return [ranked.result for ranked in rank_sentences(encoder, rows, languages, batch_size)]


def rank_sentences(
    encoder: Encoder, rows: Dataset, languages: Sequence[str] | None = None, batch_size: int = EVALUATION_BATCH
) -> Iterator[RankedQueries]:
    """Do what `evaluate_sentences` does, and yield one language after the other with everything that was ranked."""
    texts = rows.select_columns(TEXT_COLUMNS)
    if languages is not None:
        check_languages(texts, languages)
    captions = [captions_by_language(row) for row in texts]
    source_languages = list(texts["source_language"])
    sources = [(index, text) for index, row in enumerate(captions) for text in row[source_languages[index]]]
    asked = languages_of(texts) if languages is None else languages
    targets = [language for language in dict.fromkeys(asked) if language not in source_languages]
    if not targets:
        raise UserError("The data have no captions in another language than the source captions; translate them first.")
    source_row = torch.tensor([index for index, _ in sources])
    source_embeds = torch.from_numpy(encoder.texts([text for _, text in sources], batch_size))
    for language in targets:
        rows_of, queries = zip(*((index, text) for index, row in enumerate(captions) for text in row.get(language, [])))
        views, kept, owners = sentence_gallery(source_embeds, source_row, torch.tensor(rows_of))
        text_embeds = torch.from_numpy(encoder.texts(queries, batch_size))[kept]
        ranks = retrieval_ranks(text_embeds, views, owners)
        protocol = {
            "rows": len(views),
            "source_captions": len(sources),
            "target_captions": len(queries),
            UNREAD: _unread(encoder, queries),
            "caption_origin": sorted(_origins(texts, language)),
            **SENTENCE_PROTOCOL,
        }
        result = {"language": language, **retrieval_metrics(ranks, SENTENCE_DIRECTIONS), "protocol": protocol}
        ranked = [query for query, is_kept in zip(queries, kept) if is_kept]
        yield RankedQueries(result, ranked, owners, text_embeds, views, ranks)


def _unread(encoder: Encoder, captions: Sequence[str]) -> int:
    """Return how many captions have so many unknown tokens that the model cannot read them."""
    return sum(share >= MOSTLY_UNKNOWN for share in encoder.unknown_shares(captions))


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
    options: EvaluationOptions = EvaluationOptions(),  # noqa: B008 - frozen
    output: Path | None = None,
    plots: Path | None = None,
) -> list[dict[str, Any]]:
    """Evaluate a checkpoint, print a table, and write the figures as JSON: what `leccr evaluate` does.

    A text-only checkpoint is measured by retrieval between captions, and the pictures are not opened.

    Args:
        checkpoint: Folder or Hub name.
        data: Folder of a prepared data set, or `scenes`.
        options: What to evaluate, and how.
        output: JSON file for the figures and their protocol.
        plots: Folder for plots (`leccr.evaluation.plots`).

    Returns:
        What `evaluate_retrieval` does, or `evaluate_sentences` for a text-only checkpoint.

    Raises:
        UserError: If there is no such checkpoint, data, split or device.
    """
    if plots is not None:
        from .plots import plot_evaluation  # before the work, as matplotlib may be missing
    device = choose_device(options.device)
    text_only = not checkpoint.startswith(SENTENCE_TRANSFORMERS) and model_type(checkpoint) == CROSS_LINGUAL
    splits, _ = load_data(data)
    rows = split_of(splits, options.split, data)
    loaded = Encoder.load(checkpoint, device, options.dtype, text_only, options.trust_remote_code)
    encoder = with_sentences(loaded, options.description_weight)
    features = None
    if data != SCENES and not text_only:
        features = choose_features(data, encoder.takes_features)
    if options.skip_broken and not text_only and features is None:
        rows = without_broken_pictures(rows, options.split)
    ranked: Iterable[RankedQueries]
    if text_only:
        ranked = rank_sentences(encoder, rows, options.languages, options.batch_size)
    else:
        ranked = rank_retrieval(encoder, rows, options.languages, features, options.descriptions, options.batch_size)
    if plots is not None:
        ranked = list(ranked)
    results = [each.result for each in ranked]
    for result in results:
        result["protocol"].update(checkpoint=str(checkpoint), data=str(data), split=options.split)
        if encoder.description_weight is not None:
            result["protocol"]["description_weight"] = encoder.description_weight
    directions = SENTENCE_DIRECTIONS if text_only else IMAGE_DIRECTIONS
    print(format_table(results, label_columns=["language"], directions=directions))
    for result in results:
        unread = result["protocol"][UNREAD]
        if unread:
            print(f"{result['language']}: {unread} captions cannot be read; half of their tokens or more are unknown.")
    if output is not None:
        write_json(output, results)
        note(f"The figures and their protocol are in {output}.")
    if plots is not None:
        plot_evaluation(plots, list(ranked), None if text_only else rows, directions)
    return results
