import numpy as np
import pytest
import torch

from leccr.evaluation.calibrate import best_answers, fit_calibration, fit_logistic
from leccr.evaluation.ranks import own_and_other_scores


def test_own_and_other_scores_are_those_of_the_full_matrix() -> None:
    torch.manual_seed(0)
    texts, views, owners = torch.randn(9, 4), torch.randn(5, 3, 4), torch.randint(5, (9,))
    scores = torch.einsum("td,nkd->tnk", texts, views).amax(2)
    own = scores[torch.arange(9), owners]
    others = scores.scatter(1, owners[:, None], -torch.inf).amax(1)
    for chunk_size in (2, 100):
        found = own_and_other_scores(texts, views, owners, chunk_size)
        torch.testing.assert_close(found, (own, others))


def test_without_its_picture_the_best_answer_is_always_wrong() -> None:
    scores, right = best_answers(torch.tensor([0.9, 0.2, 0.5]), torch.tensor([0.4, 0.3, 0.5]))
    assert scores.tolist() == pytest.approx([0.9, 0.3, 0.5, 0.4, 0.3, 0.5])
    # The third is a tie.
    assert right.tolist() == [True, False, False, False, False, False]


def test_undefined_scores_are_left_out() -> None:
    scores, right = best_answers(torch.tensor([0.5, torch.nan, 0.25]), torch.tensor([0.25, 0.5, -torch.inf]))
    assert (scores.tolist(), right.tolist()) == ([0.5, 0.25], [True, False])


def test_the_curve_behind_the_answers_is_found() -> None:
    generator = np.random.default_rng(0)
    scores = generator.uniform(-1, 1, 200_000)
    right = generator.random(200_000) < 1 / (1 + np.exp(-(6 * scores - 2)))
    curve = fit_logistic(scores, right)
    assert curve.slope == pytest.approx(6, abs=0.15) and curve.intercept == pytest.approx(-2, abs=0.1)
    # The mean probability of the most likely curve is the share of right answers.
    assert curve(scores).mean() == pytest.approx(right.mean(), abs=1e-4)


@pytest.mark.parametrize("shift", [0.0, 1e4])
def test_answers_that_are_perfectly_separated_give_no_step(shift: float) -> None:
    scores = np.array([0.1, 0.2, 0.3, 0.7, 0.8, 0.9]) + shift
    curve = fit_logistic(scores, np.array([False] * 3 + [True] * 3))
    found = curve(scores)
    assert np.all(np.diff(found) > 0) and 0 < found[0] < 0.5 < found[-1] < 1


@pytest.mark.parametrize("scores", [[0.9, 0.8, 0.2, 0.1], [0.5] * 4], ids=["falling", "all equal"])
def test_scores_that_say_nothing_give_a_constant(scores: list[float]) -> None:
    curve = fit_logistic(np.array(scores), np.array([False, False, True, False]))
    assert curve.slope == pytest.approx(0, abs=1e-6)
    assert curve(np.array([-5.0, 5.0])) == pytest.approx([curve(np.array(0.5))] * 2) and 0 < curve(np.array(0.5)) < 0.5


def test_each_language_has_its_own_curve() -> None:
    views = torch.eye(8)[:, None]
    good, owners = torch.eye(8), torch.arange(8)
    torch.manual_seed(0)
    poor = torch.eye(8) + 0.8 * torch.randn(8, 8)
    calibration = fit_calibration({"en": (good, owners), "de": (poor, owners)}, views, 0.2)
    assert calibration is not None and set(calibration.languages) == {"en", "de"}
    assert calibration.confidence(np.array(1.0), "en") > calibration.confidence(np.array(1.0), "de")
    assert (calibration.pictures, calibration.description_weight) == (8, 0.2)
    assert (calibration.overall.queries, calibration.languages["de"].queries) == (16, 8)


def test_among_one_picture_there_is_nothing_to_fit() -> None:
    assert fit_calibration({"en": (torch.ones(2, 4), torch.tensor([0, 0]))}, torch.ones(1, 1, 4)) is None
