from pathlib import Path

import pytest

from leccr.data.options import DescribeOptions
from processing.generation.prompts import list_prompts, load_prompts


def test_the_default_looks_in_four_ways() -> None:
    prompts = load_prompts(DescribeOptions.prompts)
    assert list(prompts.questions) == ["things", "actions", "place", "details"]
    assert all("\n" not in question and question.endswith(".") for question in prompts.questions.values())


def test_every_built_in_set_loads() -> None:
    assert set(list_prompts()) == {"single", "views"}
    assert len(load_prompts("single").questions) == 1
    for name in list_prompts():
        assert load_prompts(name).name == name


def test_own_set(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("questions:\n  colour: Which colours?\nmax_new_tokens: 7\n")
    prompts = load_prompts(str(path))
    assert (prompts.name, prompts.questions, prompts.max_new_tokens) == ("mine", {"colour": "Which colours?"}, 7)
    path.write_text("questions:\n  colour: Which colour?\nmax_new_tokens: 7\n")
    assert load_prompts(str(path)).digest != prompts.digest


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("- a", "has no questions"),
        ("questions: {}", "has no questions"),
        ("questions: {a: 3}", "Question 'a' of .* is not text"),
        ("questions: {a: ' '}", "Question 'a' of .* is not text"),
        ("questions: {a: b}\nmax_new_tokens: 0", "max_new_tokens of .* is 0"),
        ("questions: {a: b}\nmax_new_tokens: many", "max_new_tokens of .* is 'many'"),
        ("a: [", "is not YAML"),
    ],
)
def test_bad_sets_are_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        load_prompts(str(path))


def test_missing_sets_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no prompt set view; use single, views"):
        load_prompts("view")
    with pytest.raises(ValueError, match="no prompt file"):
        load_prompts(str(tmp_path / "mine.yaml"))
