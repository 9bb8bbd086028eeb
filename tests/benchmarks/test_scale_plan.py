from pathlib import Path

import pytest

from benchmarks.scale_plan import SECTIONS, computed, shown, table

PAGE = Path(__file__).parents[2] / "docs" / "scale.md"


@pytest.mark.parametrize("title", SECTIONS)
def test_the_page_has_the_numbers_that_are_computed(title: str) -> None:
    assert table(SECTIONS[title], computed()) in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(4.096e12, "B", "4.1 TB"), (12_412, "1/s", "12,400 1/s"), (0.0177, "s", "0.0177 s"), (300e9, "B", "300 GB")],
)
def test_numbers_have_three_digits(value: float, unit: str, text: str) -> None:
    assert shown(value, unit) == text


def test_each_number_without_a_formula_says_where_it_is_from() -> None:
    names = {line.name for lines in SECTIONS.values() for line in lines}
    for line in (line for lines in SECTIONS.values() for line in lines):
        assert line.source or any(name in line.formula for name in names), line.name
