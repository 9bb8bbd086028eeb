"""Captions that say the same in several languages, and how far the ranks of their pictures differ."""

from typing import Any

import pytest
import torch

from leccr.evaluation.metrics import mean_rank_variance
from leccr.evaluation.ranked import RankedQueries, parallel_ranks
from leccr.evaluation.ranks import RetrievalRanks


def ranked(language: str, captions: list[tuple[int, int | None, int]]) -> RankedQueries:
    """Return a language whose captions are (image, number of the source caption, rank of the image)."""
    owners, numbers, ranks = zip(*captions)
    nothing: Any = torch.empty(0)
    found = RetrievalRanks(torch.tensor(ranks), nothing, nothing)
    return RankedQueries({"language": language}, [], torch.tensor(owners), nothing, nothing, found, numbers)


@pytest.mark.parametrize(
    ("ranks", "expected"),
    [
        ([[3, 3, 3], [7, 7, 7]], 0.0),
        # Two languages that differ by d have a variance of (d / 2)².
        ([[1, 5]], 4.0),
        ([[1, 5], [2, 2]], 2.0),
        # The variance of 1 to L is (L² − 1) / 12.
        ([list(range(1, 6))], 2.0),
        ([[1, 1, 1000]], 999**2 * 2 / 9),
    ],
)
def test_mean_rank_variance(ranks: list[list[int]], expected: float) -> None:
    assert mean_rank_variance(torch.tensor(ranks)) == pytest.approx(expected)
    mirrored = torch.tensor(ranks).flip(0, 1)
    assert mean_rank_variance(mirrored + 100) == pytest.approx(expected)


@pytest.mark.parametrize("shape", [(0, 2), (3, 1), (3,)])
def test_mean_rank_variance_needs_two_languages(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="two languages or more"):
        mean_rank_variance(torch.ones(shape, dtype=torch.long))


def test_parallel_captions_are_a_source_caption_and_its_translations() -> None:
    english = ranked("en", [(0, 0, 1), (0, 1, 2), (1, 0, 3), (1, 1, 4)])
    # The second translation of a caption does not count, nor one that stands for itself.
    german = ranked("de", [(1, 0, 30), (1, 0, 99), (0, 1, 20), (0, None, 99)])
    languages, ranks = parallel_ranks([english, german])
    assert languages == ["en", "de"]
    assert ranks.tolist() == [[2, 20], [3, 30]]


def test_captions_have_to_be_there_in_every_language_that_has_translations() -> None:
    english = ranked("en", [(0, 0, 1), (1, 0, 2)])
    german, czech = ranked("de", [(0, 0, 10), (1, 0, 20)]), ranked("cs", [(1, 0, 200)])
    chinese = ranked("zh", [(0, None, 5), (1, None, 5)])
    languages, ranks = parallel_ranks([english, german, czech, chinese])
    assert (languages, ranks.tolist()) == (["en", "de", "cs"], [[2, 20, 200]])
    assert parallel_ranks([german, ranked("fr", [(5, 0, 1)])])[1].shape == (0, 2)
    assert parallel_ranks([chinese])[1].shape == (0, 0)
