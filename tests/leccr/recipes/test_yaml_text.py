from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leccr.errors import UserError
from leccr.recipes.yaml_text import parse_yaml, read_yaml, to_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("012", 12),
        ("0o14", 12),
        ("1:30", "1:30"),
        ("1_000", 1000),
        ("2024-01-01", "2024-01-01"),
        ("2024-01-01 10:00:00", "2024-01-01 10:00:00"),
        ("no", "no"),
        ("on", "on"),
        ("true", True),
        ("1e-5", 1e-5),
        (".5E-2", 0.005),
        ("~", None),
        ("=", "="),
        ("[a, 1]", ["a", 1]),
    ],
)
def test_words_and_numbers_are_those_of_yaml_1_2(text: str, value: Any) -> None:
    parsed = parse_yaml(text)
    assert (parsed, type(parsed)) == (value, type(value))


LETTERS = st.characters(exclude_categories=["C", "Z"]) | st.just(" ")
WORDS = st.text(LETTERS) | st.sampled_from(
    ["no", "1e-5", "012", "2024-01-01", "1:30", "null", "", " x ", "a: b", "#", "1_0"]
)
PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS
VALUES = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3))


@settings(deadline=None)
@given(st.dictionaries(WORDS, VALUES, max_size=4))
def test_what_is_written_is_read_again(content: dict[str, Any]) -> None:
    again = parse_yaml(to_yaml(content))
    assert repr(again) == repr(content)


def test_lists_take_one_line_and_shared_values_are_repeated() -> None:
    sizes = [1, 2]
    assert to_yaml({"b": sizes, "a": {"c": sizes}}) == "b: [1, 2]\na:\n  c: [1, 2]\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: {", "is not valid YAML"),
        ("lora: 1\nlora: 2", "is not valid YAML"),
        ("just words", "is not a recipe"),
        ("", "is not a recipe"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        read_yaml(path)


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(UserError, match="is not valid YAML"):
        read_yaml(tmp_path / "mine.yaml")
