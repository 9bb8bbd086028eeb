import json
from pathlib import Path

import pytest

from processing.descriptions import read_descriptions
from processing.errors import UserError


def test_descriptions_may_be_missing_empty_or_given_twice(tmp_path: Path) -> None:
    assert read_descriptions(tmp_path) == {}
    lines = [("a", None), ("b", "  "), ("c", "first"), ("c", "second")]
    text = "".join(json.dumps({"id": name, "description": value}) + "\n" for name, value in lines)
    (tmp_path / "descriptions.jsonl").write_text("\ufeff" + text, encoding="utf-8")
    assert read_descriptions(tmp_path) == {"c": "second"}


@pytest.mark.parametrize("line", ["{", "[]", '{"id": "a"}', "null"])
def test_a_broken_line_of_descriptions_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "descriptions.jsonl").write_text('{"id": "a", "description": "b"}\n' + line)
    with pytest.raises(UserError, match=f"Line 2 of {tmp_path}/descriptions.jsonl is not a record"):
        read_descriptions(tmp_path)


def test_a_description_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "descriptions.jsonl").write_text('{"id": "a", "description": "\\udcff"}\n')
    with pytest.raises(UserError, match="Line 1 of .* has a description that is not valid text"):
        read_descriptions(tmp_path)
