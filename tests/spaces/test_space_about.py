from pathlib import Path

import pytest
from space_about import about, program, snippet
from space_setup import Setup

from leccr.hub.push import run_card
from processing.writing import write_json
from tests.spaces.markup import BREAKOUT, check_harmless


@pytest.fixture
def described(setup: Setup) -> str:
    return about(setup.ready)


def test_it_says_what_is_shown_without_the_servers_folders(described: str, scenes: Path) -> None:
    assert "| Model | `model` |" in described and "| Pictures | 24, `gallery` |" in described
    assert "English, German, French, Czech, Chinese, Japanese" in described
    assert "2 slots; score = 0.8 × whole picture + 0.2 × best slot" in described
    assert str(scenes) not in described and "## Figures" not in described


def test_figures_carry_their_protocol_and_the_card_follows(setup: Setup, scenes: Path) -> None:
    ways = {f"{way}_hit_rate_{k}": k / 3 for way in ("text_to_image", "image_to_text") for k in (1, 5, 10)}
    ways |= {f"{way}_median_rank": 1.0 for way in ("text_to_image", "image_to_text")}
    validation = {f"eval_{code}_{name}": value for code in ("en", "de") for name, value in ways.items()}
    validation |= {f"eval_{code}_sum_of_hit_rates": 5.0 for code in ("en", "de")}
    training = {
        "recipe": "leccr",
        "steps": 3,
        "selection": "best validation sum_of_hit_rates",
        "validation": validation,
    }
    files = [scenes / "model" / name for name in ("training.json", "README.md")]
    try:
        write_json(files[0], {**training, "data": {"rows": {"validation": 200}}})
        run_card(scenes / "model", name="org/tiny")
        found = about(setup.ready)
        assert setup.ready.retriever.languages() == ["en", "de"]
    finally:
        for file in files:
            file.unlink(missing_ok=True)
    assert "| German | 0.3 / 1.7 / 3.3 | 0.3 / 1.7 / 3.3 |" in found
    assert "of the validation split of the training data: all 200 pictures of the split are searched" in found
    assert (
        "Hit rates at 1, 5 and 10 in percent" in found and "selected by these figures (best validation SumR)" in found
    )
    assert "sum_of_hit_rates" not in found
    assert "# tiny" in found and "library_name" not in found


def test_the_snippet_is_python_whatever_the_example_is() -> None:
    compile(snippet("http://localhost:7860/", 'A "big"\\" house'), "snippet", "exec")


def test_the_program_is_text_whatever_the_example_is() -> None:
    check_harmless(*(program("http://localhost:7860/", text) for text in ("plain", BREAKOUT)))
