from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from space_compare_tab import CompareTab
from space_languages import SIX
from space_search_tab import SearchTab
from space_setup import Setup


def offering(setup: Setup, ideas: list[dict[str, str]]) -> Setup:
    """Return a page that offers other queries."""
    return Setup(lambda say: replace(setup.ready, ideas=ideas)).finish()


def click(number: str) -> Any:
    return SimpleNamespace(_data={"action": number})


@pytest.mark.parametrize(
    ("ideas", "offered"),
    [
        ([{"en": "a"}, {"en": "b"}, {"en": "c"}], ["a", "b", "c"]),
        ([{"en": "a", "de": "A"}, {"en": "b", "de": "B"}], ["a", "B"]),
        ([{"xx": "a language that the model does not know"}], []),
        ([], []),
    ],
)
def test_a_click_on_an_example_puts_it_into_the_query(setup: Setup, ideas: list[Any], offered: list[str]) -> None:
    with gr.Blocks():
        tab = SearchTab(offering(setup, ideas))
    _, chips = tab.fill(tab.setup.ready)
    assert chips.count("<button") == len(offered)
    assert [tab.choose_example(click(str(number))) for number in range(len(offered) + 1)] == [*offered, ""]
    assert tab.choose_example(click("-1")) == tab.choose_example(click("en")) == ""


def test_ideas_to_compare_follow_each_other_and_may_be_none(setup: Setup) -> None:
    with gr.Blocks():
        some = CompareTab(offering(setup, [{"en": "a", "zh": "b"}, {"de": "c"}]))
        none = CompareTab(offering(setup, []))
    *texts, another = some.fill(some.setup.ready)
    assert texts == ["a", "", "", "", "b", ""] and another.visible
    assert some.next_idea(0) == [1, "", "c", "", "", "", ""] and some.next_idea(1)[0] == 0
    *texts, another = none.fill(none.setup.ready)
    assert texts == [""] * len(SIX) and not another.visible
    assert none.next_idea(0) == [0, *[""] * len(SIX)]
