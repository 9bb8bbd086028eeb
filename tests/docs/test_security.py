"""Each promise of the page about untrusted input, and each place that keeps one, names tests that exist."""

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs/security.md").read_text(encoding="utf-8")
CONTRIBUTING = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
SECTION = CONTRIBUTING.split("\n## Untrusted input\n")[1].split("\n## ")[0]
FILES = ["A folder of photos", "A file of captions", "A data set", "A gallery", "A model"]
SOURCES = [*FILES, "An endpoint", "A client of the server"]
PROMISES = [" ".join(item.split()) for item in re.split(r"\n(?=- |\n)", PAGE) if item.startswith("- ")]
PLACES = [line for line in SECTION.splitlines() if re.match(r"\| (?!kind|---)", line)]


def named_tests(text: str) -> list[str]:
    return re.findall(r"`(tests/[\w/.]+)`", text)


def test_the_page_has_a_section_for_each_source() -> None:
    assert re.findall(r"^## (.*)$", PAGE, re.MULTILINE) == [*SOURCES, "Publishing"]
    for section in PAGE.split("\n## ")[1:]:
        assert "\n- " in section and "\nNot promised: " in section, section.splitlines()[0]
    assert len(PROMISES) == PAGE.count("\n- ") > 20


@pytest.mark.parametrize("promise", PROMISES)
def test_each_promise_names_its_tests(promise: str) -> None:
    files = named_tests(promise)
    assert files
    for file in files:
        assert re.search(r"^ *def test_", (REPOSITORY / file).read_text(encoding="utf-8"), re.MULTILINE), file


@pytest.mark.parametrize("line", PLACES)
def test_each_place_exists_and_has_tests(line: str) -> None:
    _, kind, place, tests, _ = line.split("|")
    for file in named_tests(tests):
        assert (REPOSITORY / file).exists(), file
    assert named_tests(tests), kind
    for file in re.findall(r"`((?:processing|leccr|spaces)/[\w/]+\.py)`", place):
        assert (REPOSITORY / file).is_file(), file


def test_the_page_names_the_fuzz_tests() -> None:
    assert named_tests(PAGE.split("\n## ")[0]) == ["tests/fuzz"]
    assert len(list((REPOSITORY / "tests/fuzz").glob("test_*.py"))) >= 4
