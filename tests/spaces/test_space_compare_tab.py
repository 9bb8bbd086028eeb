from dataclasses import replace
from typing import Any

import gradio as gr
import pytest
from space_compare_tab import MOST_LANGUAGES, ONE_LANGUAGE, CompareTab
from space_languages import LanguageDetector
from space_setup import Setup


def tab_of(setup: Setup, **changed: Any) -> CompareTab:
    """Return the tab of a page that offers other things."""
    with gr.Blocks():
        return CompareTab(Setup(lambda say: replace(setup.ready, **changed)).finish())


def labelled(boxes: list[Any]) -> dict[str, str]:
    """Return the texts of the boxes that are shown, by their labels."""
    return {box.label: box.value for box in boxes if box.visible}


def test_ideas_follow_each_other_and_may_be_none(setup: Setup) -> None:
    some = tab_of(setup, ideas=[{"en": "a", "zh": "b"}, {"de": "c"}])
    _, *boxes, another, button = some.fill(some.setup.ready)
    texts = {"English": "a", "Chinese": "b", "German": "", "French": "", "Czech": "", "Japanese": ""}
    assert labelled(boxes) == texts
    assert another.visible and button.visible and len(boxes) == MOST_LANGUAGES
    number, *boxes = some.next_idea(0)
    assert number == 1 and labelled(boxes)["German"] == "c" and some.next_idea(1)[0] == 0
    none = tab_of(setup, ideas=[])
    _, *boxes, another, button = none.fill(none.setup.ready)
    assert set(labelled(boxes).values()) == {""} and not another.visible and button.visible


@pytest.mark.parametrize(("codes", "shown"), [(["en", "zh"], ["English", "Chinese"]), (["fr"], []), ([], [])])
def test_only_languages_that_the_model_reads_are_compared(setup: Setup, codes: list[str], shown: list[str]) -> None:
    tab = tab_of(setup, detector=LanguageDetector(codes))
    how, *boxes, _, button = tab.fill(tab.setup.ready)
    assert list(labelled(boxes)) == shown
    assert (how.value == ONE_LANGUAGE) == (len(codes) < 2) and button.visible == (len(codes) > 1)


def test_of_many_languages_those_with_ideas_are_compared(setup: Setup) -> None:
    codes = ["en", "de", "fr", "cs", "zh", "ja", "es", "it", "pt", "ru"]
    tab = tab_of(setup, detector=LanguageDetector(codes), ideas=[{"ru": "x", "pt": "y"}])
    _, *boxes, _, _ = tab.fill(tab.setup.ready)
    assert list(labelled(boxes))[:2] == ["Portuguese", "Russian"] and len(labelled(boxes)) == MOST_LANGUAGES


def test_what_the_model_cannot_read_gets_no_praise(setup: Setup) -> None:
    tab = tab_of(setup, detector=LanguageDetector(["en", "zh"]))
    page = tab.compare("\U0001f436", "\U0001f436\U0001f436")
    assert page.count("cannot read this query") == 2 and "<table" not in page and " of 10" not in page
    page = tab.compare("A dog on the beach", "\U0001f436")
    assert page.count("cannot read") == 1 and "<ol" in page and "<table" not in page
    assert "two languages or more" in tab.compare("dog", " ")
    assert "the most is 500" in tab.compare("x" * 501, "dog")
