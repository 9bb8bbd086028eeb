from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.nothing_fits import LANGUAGES, Queries, answers, calibration_error, measure, table


def test_a_cut_off_is_measured() -> None:
    confidence = np.array([0.9, 0.8, 0.7, 0.2, 0.1])
    right = np.array([True, False, False, True, False])
    out = np.array([False, False, True, False, True])
    found = measure(confidence, right, out, 0.5)
    assert found == pytest.approx({"precision": 100 / 3, "recall": 50.0, "told_precision": 50.0, "told_recall": 50.0})
    assert np.isnan(measure(confidence, right, out, 0.0)["told_precision"])
    line = table([{"confidence": "calibrated", "language": "zh", "cut": 0.5, **found}]).splitlines()[-1]
    assert "33.3 / 50.0" in line and "50.0 / 50.0" in line


def test_a_calibration_that_is_right_has_no_error() -> None:
    right = np.array([True, False, False, False])
    assert calibration_error(np.full(4, 0.25), right) == 0
    assert calibration_error(np.full(4, 1.0), right) == pytest.approx(75)


def test_captions_of_some_photos_keep_their_owners() -> None:
    queries = Queries(["a", "b", "c", "d"], torch.eye(4), torch.tensor([0, 2, 1, 2]))
    own = queries.of(np.array([1, 2]))
    assert own.texts == ["b", "c", "d"] and own.owners.tolist() == [1, 0, 1]
    assert torch.equal(own.embeds, torch.eye(4)[1:])


def test_photos_that_are_out_are_never_right() -> None:
    views, owners = torch.eye(9)[:, None], torch.arange(9)
    queries = {language: Queries([f"{n}" for n in range(9)], torch.eye(9), owners) for language in LANGUAGES}
    encoder: Any = SimpleNamespace(texts=lambda texts: np.full((len(texts), 9), 0.5, np.float32))
    found = answers(encoder, views, queries, seed=0)
    for own in found.values():
        assert own["out"].sum() == 9 and np.array_equal(own["right"], ~own["out"])
        # Each photo has its own direction, so both kinds of confidence tell all of them apart.
        assert own["calibrated"][own["right"]].min() > own["calibrated"][own["out"]].max()
        assert set(own["unrelated"][own["right"]]) == {1.0} and set(own["unrelated"][own["out"]]) == {0.0}
