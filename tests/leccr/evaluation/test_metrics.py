import numpy as np
import pytest
import torch

from leccr.evaluation.metrics import SENTENCE_DIRECTIONS, retrieval_metrics, sentence_metrics
from leccr.evaluation.ranks import RetrievalRanks, retrieval_ranks
from tests.leccr.evaluation.test_ranks import brute_force


def test_metrics_by_hand():
    nan = float("nan")
    ranks = RetrievalRanks(
        text_to_image=torch.tensor([1, 2, 6, 20]),
        image_to_text=torch.tensor([1, 0, 11, 5]),
        image_average_precision=torch.tensor([1.0, nan, 0.25, 0.25], dtype=torch.float64),
    )
    assert retrieval_metrics(ranks) == pytest.approx(
        {
            "text_to_image_hit_rate_1": 25.0,
            "text_to_image_hit_rate_5": 50.0,
            "text_to_image_hit_rate_10": 75.0,
            "text_to_image_median_rank": 4.0,
            "text_to_image_mean_average_precision": 100 * (1 + 1 / 2 + 1 / 6 + 1 / 20) / 4,
            "image_to_text_hit_rate_1": 100 / 3,
            "image_to_text_hit_rate_5": 200 / 3,
            "image_to_text_hit_rate_10": 200 / 3,
            "image_to_text_median_rank": 5.0,
            "image_to_text_mean_average_precision": 50.0,
            "sum_of_hit_rates": 150 + 500 / 3,
        }
    )


def test_a_perfect_model_has_600():
    text_image = torch.arange(20).repeat_interleave(2)
    views = torch.eye(20)[:, None]
    metrics = retrieval_metrics(retrieval_ranks(torch.eye(20)[text_image], views, text_image))
    assert metrics["sum_of_hit_rates"] == pytest.approx(600.0)
    assert metrics["image_to_text_mean_average_precision"] == pytest.approx(100.0)


def test_metrics_of_no_text_are_refused():
    empty = torch.zeros(0, dtype=torch.long)
    with pytest.raises(ValueError, match="no texts"):
        retrieval_metrics(RetrievalRanks(empty, empty, empty.double()))


def test_sentences_are_found_by_the_best_source_caption_of_a_row():
    # Rows 0 and 3 have two source captions, row 1 has one, row 2 has none; the target captions are in no order.
    sources = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0.6, 0.8, 0], [0.6, 0, 0.8]])
    source_row = torch.tensor([0, 0, 1, 3, 3])
    targets = torch.tensor([[0.0, 0, 1], [0, 1, 0], [1, 0, 0], [0.6, 0.7, 0]])
    target_row = torch.tensor([3, 0, 2, 3])
    # Scores with rows 0, 1, 3: target 0 of row 3: 0, 1, .8 -> rank 2; target 1 of row 0: 1, 0, .8 -> rank 1;
    # target 3 of row 3: .7, 0, .92 -> rank 1; target 2 belongs to a row without source caption and is left out.
    # Row 0 likes target 1 best (1 against .7): rank 1; row 3 likes its target 3 best: rank 1; row 1 has no target.
    metrics = sentence_metrics(sources, source_row, targets, target_row)
    assert metrics["target_to_source_hit_rate_1"] == pytest.approx(200 / 3)
    assert metrics["target_to_source_hit_rate_5"] == metrics["source_to_target_hit_rate_1"] == 100
    assert metrics["sum_of_hit_rates"] == pytest.approx(200 / 3 + 500)
    assert {name.rsplit("_", 3)[0] for name in metrics if "hit_rate" in name} >= set(SENTENCE_DIRECTIONS)


def test_sentences_equal_brute_force_over_padded_rows():
    generator = torch.Generator().manual_seed(3)
    source_row = torch.tensor([0] * 3 + [1] + [2] * 5 + [3] * 2 + [4] * 3)
    sources, targets = torch.randn(14, 6, generator=generator), torch.randn(20, 6, generator=generator)
    target_row = torch.arange(20) % 5
    scores = torch.stack([(targets @ sources[source_row == image].T).amax(1) for image in range(5)], dim=1)
    # One view for each row and text with exactly that score.
    text_to_image, image_to_text, _ = brute_force(torch.eye(20), scores.T[:, None], target_row)
    metrics = sentence_metrics(sources, source_row, targets, target_row)
    for direction, ranks in zip(SENTENCE_DIRECTIONS, (text_to_image, image_to_text)):
        assert metrics[f"{direction}_hit_rate_1"] == pytest.approx(100 * np.mean(np.array(ranks) <= 1))
        assert metrics[f"{direction}_median_rank"] == np.median(ranks)


def test_sentences_need_a_row_that_has_both():
    with pytest.raises(ValueError, match="nothing to rank"):
        sentence_metrics(torch.ones(1, 2), torch.tensor([0]), torch.ones(1, 2), torch.tensor([1]))
