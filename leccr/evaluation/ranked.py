"""What an evaluation ranks: each language's captions and the gallery, with the figures that come of it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor

from processing.captions import captions_by_language, check_languages, languages_of, source_numbers_by_language
from processing.features import FeatureFile
from processing.text_rule_leccr import MOSTLY_UNKNOWN

from ..defaults import EVALUATION_BATCH
from ..errors import UserError
from ..models.encoder import Encoder, Stopwatch
from .metrics import SENTENCE_DIRECTIONS, retrieval_metrics, sentence_gallery
from .ranks import RetrievalRanks, retrieval_ranks

PROTOCOL = {
    "hit_rate": "share of queries with a right answer among the first k, in percent (R@k of CLIP papers)",
    "ties": "count against the model",
    "score": "max over views of the inner product, float32",
}
SENTENCE_PROTOCOL = {**PROTOCOL, "score": "max over the row's source captions of the inner product, float32"}
UNREAD = "captions_mostly_unknown"
TEXT_COLUMNS = ["id", "source_language", "source_captions", "target_captions"]


@dataclass(frozen=True)
class RankedQueries:
    """The evaluation of one language, with what its figures were computed from. All tensors are on the CPU.

    Attributes:
        result: The language, its metrics and the protocol behind them.
        queries: The T captions of the language.
        owners: (T,) index into `views` of the image, or row, that each caption belongs to.
        text_embeds: (T, D) embeddings of the captions.
        views: (N, K, D) of the gallery.
        ranks: Ranks of the right answers.
        numbers: For each caption the number of the source caption of its image that it is or translates, or None.
        text_seconds: How long encoding the captions took.
        view_seconds: How long encoding the gallery took, without reading and preparing the pictures.
    """

    result: dict[str, Any]
    queries: list[str]
    owners: Tensor
    text_embeds: Tensor
    views: Tensor
    ranks: RetrievalRanks
    numbers: Sequence[int | None] = ()
    text_seconds: float = 0.0
    view_seconds: float = 0.0


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
    pictures = Stopwatch()
    views = torch.from_numpy(encoder.row_views(rows, features, descriptions, batch_size, pictures))
    texts = rows.select_columns(TEXT_COLUMNS)
    captions = [captions_by_language(row) for row in texts]
    numbers = [source_numbers_by_language(row) for row in texts]
    described = sum(bool(description) for description in rows["description"]) if descriptions else 0
    for language in languages:
        queries = [text for row in captions for text in row.get(language, [])]
        owners = torch.tensor([index for index, row in enumerate(captions) for _ in row.get(language, [])])
        with Stopwatch() as reading:
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
        own_numbers = [number for row in numbers for number in row.get(language, [])]
        seconds = reading.seconds, pictures.seconds
        yield RankedQueries(result, queries, owners, text_embeds, views, ranks, own_numbers, *seconds)


def parallel_ranks(rankings: Iterable[RankedQueries]) -> tuple[list[str], Tensor]:
    """Return the ranks that captions which say the same have in several languages, for `mean_rank_variance`.

    Such captions are a source caption and what translates it. Where a language has several translations of it, the
    first counts.

    Args:
        rankings: All languages of one evaluation.

    Returns:
        The L languages that have such captions, and (C, L) the ranks of the C captions that all of them have.
    """
    ranks: dict[str, dict[tuple[int, int], int]] = {}
    for ranking in rankings:
        captions = zip(ranking.owners.tolist(), ranking.numbers, ranking.ranks.text_to_image.tolist())
        for owner, number, rank in captions:
            if number is not None:
                ranks.setdefault(ranking.result["language"], {}).setdefault((owner, number), rank)
    common = sorted(set.intersection(*map(set, ranks.values()))) if ranks else []
    table = [[own[caption] for own in ranks.values()] for caption in common]
    return list(ranks), torch.tensor(table, dtype=torch.long).reshape(len(common), len(ranks))


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
        with Stopwatch() as reading:
            encoded = torch.from_numpy(encoder.texts(queries, batch_size))
        text_embeds = encoded[kept]
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
        # Of all captions; those without a row to find are no queries.
        seconds = reading.seconds * len(ranked) / len(queries)
        yield RankedQueries(result, ranked, owners, text_embeds, views, ranks, text_seconds=seconds)


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
