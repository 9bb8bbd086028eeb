import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leccr.errors import UserError
from leccr.models.calibration import Calibration, Logistic, load_calibration

CALIBRATION = Calibration(Logistic(10.0, -5.0, 8), {"de": Logistic(20.0, -5.0, 4)}, 3, 0.2, 0.5)


def test_a_confidence_is_that_of_the_language_or_of_all() -> None:
    scores = np.array([[0.0, 0.5], [0.25, 1e9]])
    german, other = CALIBRATION.confidence(scores, "de"), CALIBRATION.confidence(scores, "ja")
    assert german[1, 0] == 0.5 and other[0, 1] == 0.5
    assert np.array_equal(other, CALIBRATION.confidence(scores))
    assert german[1, 1] == 1 and CALIBRATION.confidence(np.array(-1e9)) < 1e-300


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "calibration.json").write_text(json.dumps(CALIBRATION.to_fields()))
    assert load_calibration(tmp_path) == CALIBRATION


def test_a_model_without_one_has_none(tmp_path: Path) -> None:
    assert load_calibration(tmp_path) is None
    assert load_calibration("no-organisation/no-model") is None


CURVE = {"slope": 1.0, "intercept": 0.0, "queries": 1}
WHOLE: dict[str, Any] = {"overall": CURVE, "languages": {}, "pictures": 1, "description_weight": None}
DAMAGED: dict[str, Any] = {
    "no JSON": "{",
    "a list": [],
    "a number": 3,
    "nothing in it": {},
    "a language without a curve": {**WHOLE, "languages": {"de": None}},
    "languages as a list": {**WHOLE, "languages": ["de"]},
    "NaN": {**WHOLE, "overall": {**CURVE, "slope": float("nan")}},
    "infinity": {**WHOLE, "overall": {**CURVE, "intercept": float("inf")}},
    "a falling curve": {**WHOLE, "overall": {**CURVE, "slope": -1.0}},
    "words": {**WHOLE, "overall": {**CURVE, "slope": "steep"}},
    "an endless count": {**WHOLE, "pictures": float("inf")},
    "a weight that is NaN": {**WHOLE, "description_weight": float("nan")},
    "a weight above 1": {**WHOLE, "description_weight": 7},
    "a share below 0": {**WHOLE, "described": -0.5},
    "no text": b"\xff\xfe\xff",
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_one_is_one_sentence(tmp_path: Path, name: str) -> None:
    content = DAMAGED[name]
    text = content if isinstance(content, str | bytes) else json.dumps(content)
    (tmp_path / "calibration.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=r"^calibration\.json of .* is damaged; delete it"):
        load_calibration(tmp_path)
