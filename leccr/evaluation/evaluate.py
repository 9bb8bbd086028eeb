"""Evaluation of a trained model on a split, with the protocol written beside every figure."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset

from modeling_leccr import LeccrModel
from processing import LeccrProcessor
from processing.captions import captions_by_language, check_languages, languages_of
from processing.features import FeatureFile
from processing.writing import write_json

from ..data.loading import load_data, split_of
from ..errors import UserError
from ..models.checkpoints import CROSS_LINGUAL, load_retriever, load_text_encoder, model_type
from ..models.encoding import encode_images, encode_texts
from .metrics import (
    IMAGE_DIRECTIONS,
    SENTENCE_DIRECTIONS,
    format_table,
    retrieval_metrics,
    retrieval_ranks,
    sentence_gallery,
)
from .ranked import Ranking

PROTOCOL = {
    "hit_rate": "share of queries with a right answer among the first k, in percent (R@k of CLIP papers)",
    "ties": "count against the model",
    "score": "max over views of the inner product, float32",
}
SENTENCE_PROTOCOL = {**PROTOCOL, "score": "max over the row's source captions of the inner product, float32"}
TEXT_COLUMNS = ["id", "source_language", "source_captions", "target_captions"]


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
        For each language its metrics (`leccr.evaluation.metrics.retrieval_metrics`) and the protocol they stand on.

    Raises:
        UserError: If the rows lack one of the languages, or a caption is empty.
    """
    rankings = rank_retrieval(model, processor, rows, languages, features, descriptions, batch_size)
    return [ranking.result for ranking in rankings]


def rank_retrieval(
    model: LeccrModel,
    processor: LeccrProcessor,
    rows: Dataset,
    languages: Sequence[str] | None = None,
    features: FeatureFile | None = None,
    descriptions: bool = True,
    batch_size: int = 64,
) -> Iterator[Ranking]:
    """Do what `evaluate_retrieval` does, and yield one language after the other with all that was ranked."""
    languages = languages_of(rows) if languages is None else list(languages)
    check_languages(rows, languages)
    model.eval()
    views = encode_images(model, processor, rows, features, descriptions, batch_size)
    texts = rows.select_columns(TEXT_COLUMNS)
    captions = [captions_by_language(row) for row in texts]
    described = sum(bool(description) for description in rows["description"]) if descriptions else 0
    for language in languages:
        queries = [text for row in captions for text in row.get(language, [])]
        owners = torch.tensor([place for place, row in enumerate(captions) for _ in row.get(language, [])])
        text_embeds = encode_texts(model, processor, queries)
        ranks = retrieval_ranks(text_embeds, views, owners)
        protocol = {
            "images": len(views),
            "captions": len(queries),
            "captions_per_image": round(len(queries) / len(owners.unique()), 2),
            "caption_origin": sorted(_origins(texts, language)),
            "images_with_description": described,
            **PROTOCOL,
        }
        result = {"language": language, **retrieval_metrics(ranks), "protocol": protocol}
        yield Ranking(result, queries, owners, text_embeds, views, ranks)


def evaluate_sentences(
    model: Any, tokenizer: Any, rows: Dataset, languages: Sequence[str] | None = None, batch_size: int = 64
) -> list[dict[str, Any]]:
    """Rank all rows' source captions for each target caption, and the other way round, one language at a time.

    Args:
        model: A text encoder, such as a trained `modeling_leccr.CrossLingualModel`.
        tokenizer: Its tokenizer or processor.
        rows: Rows of one split; their pictures are not looked at.
        languages: Target languages; None means all that the rows have.
        batch_size: Texts encoded at once.

    Returns:
        For each target language its metrics (`leccr.evaluation.metrics.sentence_metrics`) and their protocol.

    Raises:
        UserError: If the rows lack one of the languages, there is none, or a caption is empty.
    """
    return [ranking.result for ranking in rank_sentences(model, tokenizer, rows, languages, batch_size)]


def rank_sentences(
    model: Any, tokenizer: Any, rows: Dataset, languages: Sequence[str] | None = None, batch_size: int = 64
) -> Iterator[Ranking]:
    """Do what `evaluate_sentences` does, and yield one language after the other with all that was ranked."""
    texts = rows.select_columns(TEXT_COLUMNS)
    if languages is not None:
        check_languages(texts, languages)
    captions = [captions_by_language(row) for row in texts]
    source_languages = list(texts["source_language"])
    sources = [(place, text) for place, row in enumerate(captions) for text in row[source_languages[place]]]
    asked = languages_of(texts) if languages is None else languages
    wanted = [language for language in dict.fromkeys(asked) if language not in source_languages]
    if not wanted:
        raise UserError("The data have no captions in another language than the source captions; translate them first.")
    model.eval()
    source_row = torch.tensor([place for place, _ in sources])
    source_embeds = encode_texts(model, tokenizer, [text for _, text in sources], batch_size)
    for language in wanted:
        rows_of, queries = zip(*((place, text) for place, row in enumerate(captions) for text in row.get(language, [])))
        views, kept, owners = sentence_gallery(source_embeds, source_row, torch.tensor(rows_of))
        text_embeds = encode_texts(model, tokenizer, queries, batch_size)[kept]
        ranks = retrieval_ranks(text_embeds, views, owners)
        protocol = {
            "rows": len(views),
            "source_captions": len(sources),
            "target_captions": len(queries),
            "caption_origin": sorted(_origins(texts, language)),
            **SENTENCE_PROTOCOL,
        }
        result = {"language": language, **retrieval_metrics(ranks, SENTENCE_DIRECTIONS), "protocol": protocol}
        ranked = [query for query, is_kept in zip(queries, kept) if is_kept]
        yield Ranking(result, ranked, owners, text_embeds, views, ranks)


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
    plots: Path | None = None,
) -> list[dict[str, Any]]:
    """Evaluate a checkpoint, print a table, and write the figures as JSON: what `leccr evaluate` does.

    A text-only checkpoint is measured by retrieval between captions, and the pictures are left alone.
    Plots are drawn into the folder `plots` if one is given (`leccr.evaluation.plots`).
    """
    if plots is not None:
        from .plots import plot_evaluation  # before the work, as matplotlib may be missing
    text_only = model_type(checkpoint) == CROSS_LINGUAL
    splits, features = load_data(data, skip_broken=skip_broken and not text_only)
    rows = split_of(splits, split, data)
    rankings: Iterable[Ranking]
    if text_only:
        rankings = rank_sentences(*load_text_encoder(checkpoint), rows, languages, batch_size)
    else:
        model, processor = load_retriever(checkpoint)
        rankings = rank_retrieval(model, processor, rows, languages, features, descriptions, batch_size)
    if plots is not None:
        rankings = list(rankings)
    results = [ranking.result for ranking in rankings]
    for result in results:
        result["protocol"].update(checkpoint=str(checkpoint), data=str(data), split=split)
    directions = SENTENCE_DIRECTIONS if text_only else IMAGE_DIRECTIONS
    print(format_table(results, label_columns=["language"], directions=directions))
    if output is not None:
        write_json(output, results)
        print(f"The figures and their protocol are in {output}.")
    if plots is not None:
        plot_evaluation(plots, list(rankings), None if text_only else rows, directions)
    return results
