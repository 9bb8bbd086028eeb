import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from space_confidence import Calibration, read_calibration
from space_errors import SpaceError
from space_search import Hit, check_confidence, fitting
from space_search_tab import SearchTab
from space_setup import Setup
from space_tiles import nothing_fits, tiles

from leccr.models.calibration import Calibration as OurCalibration
from leccr.models.calibration import Logistic

OURS = OurCalibration(Logistic(10.0, -5.0, 8), {"de": Logistic(20.0, -5.0, 4), "zh": Logistic(0.0, 0.0, 4)}, 3)
GERMAN = "Ein brauner Hund rennt am Strand"


def written(folder: Path, fields: Any) -> Path:
    path = folder / "calibration.json"
    path.write_text(json.dumps(fields))
    return path


def test_it_says_what_the_package_says(tmp_path: Path) -> None:
    found = read_calibration(written(tmp_path, OURS.to_fields()))
    assert found is not None
    for text, language in ((GERMAN, "de"), ("棕色的狗在海边跑", "zh"), ("A dog runs along the beach", None)):
        expected = OURS.confidence(np.array([-1e9, 0.1, 0.4, 1e9]), language)
        assert found.confidence([-1e9, 0.1, 0.4, 1e9], text) == pytest.approx(expected)


WHOLE = OURS.to_fields()


@pytest.mark.parametrize(
    "fields",
    [
        [],
        3,
        {},
        {"overall": {}},
        {**WHOLE, "description_weight": 0.2},
        {**WHOLE, "languages": ["de"]},
        {**WHOLE, "languages": {"de": 1}},
        {**WHOLE, "overall": {"slope": -1, "intercept": 0}},
        {**WHOLE, "overall": {"slope": float("nan"), "intercept": 0}},
    ],
)
def test_a_damaged_one_or_one_for_other_scores_is_none(tmp_path: Path, fields: Any) -> None:
    assert read_calibration(written(tmp_path, fields)) is None
    (tmp_path / "calibration.json").write_bytes(b"\xff{")
    assert read_calibration(tmp_path / "calibration.json") is None and read_calibration(None) is None


def hits(*confidences: float | None) -> list[Hit]:
    numbered = enumerate(confidences)
    return [Hit(str(number), number + 1, 0.5, None, "a<b>.png", None, "", value) for number, value in numbered]


def test_answers_below_are_left_out() -> None:
    assert fitting(hits(0.9, 0.5, 0.2), 0.5) == hits(0.9, 0.5)
    assert fitting(hits(None, None), 0.0) == hits(None, None)
    with pytest.raises(SpaceError, match="does not say how sure its answers are"):
        fitting(hits(None), 0.1)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), "0.5", None, True])
def test_what_is_no_confidence_is_refused(value: Any) -> None:
    with pytest.raises(SpaceError, match="from 0 to 1"):
        check_confidence(value)


def test_the_page_shows_it() -> None:
    assert "87 % sure" in tiles(hits(0.874), "dog", "Pictures") and "sure" not in tiles(hits(None), "dog", "Pictures")
    assert "a&lt;b&gt;.png (confidence 0.12)" in nothing_fits(hits(0.123)[0])


@pytest.fixture
def calibrated(setup: Setup) -> Iterator[Setup]:
    retriever = setup.ready.retriever
    retriever.calibration = Calibration((10.0, -5.0), {})
    yield setup
    del retriever.calibration


def asked(tab: SearchTab, query: str, least: float) -> tuple[str, str]:
    """Return what the tab says and shows where no filter but the confidence is chosen."""
    return tab.answer(query, "", "", "", "", False, least)


def test_the_tab_and_the_api_leave_out_what_is_not_sure(calibrated: Setup) -> None:
    tab = SearchTab.__new__(SearchTab)
    tab.setup = calibrated
    found = calibrated.ready.searcher.search(GERMAN, 12)
    expected = 1 / (1 + np.exp(5 - 10 * np.array([hit.score for hit in found])))
    np.testing.assert_allclose([hit.confidence for hit in found], expected)
    middle = found[3].confidence
    assert middle is not None
    _, shown = asked(tab, GERMAN, middle)
    assert shown.count('class="tile"') == 4
    said, shown = asked(tab, GERMAN, 1.0)
    assert "Nothing here fits; the nearest is" in said and shown == ""
    said, _ = asked(tab, "🐶", 0.01)
    assert "Nothing here fits" in said and "The model cannot read this query" in said


def test_a_model_that_does_not_say_says_so(setup: Setup) -> None:
    tab = SearchTab.__new__(SearchTab)
    tab.setup = setup
    said, _ = asked(tab, GERMAN, 0.5)
    assert "does not say how sure its answers are" in said
