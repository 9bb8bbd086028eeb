import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest
import space_search_tab
from space_filter_row import FilterRow
from space_search_tab import SearchTab
from space_setup import Setup, ready_from
from space_sources import open_source
from space_store import PictureStore


def offering(setup: Setup, ideas: list[dict[str, str]]) -> Setup:
    """Return a page that offers other queries."""
    return Setup(lambda say: replace(setup.ready, ideas=ideas)).finish()


def clicked(**data: str) -> Any:
    """Return what Python is told of a click."""
    return SimpleNamespace(_data=data)


def shown(page: str) -> list[str]:
    """Return the names of the pictures in a list."""
    return re.findall(r'class="tile".*? title="([^"]+)"', page)


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
    chips = tab.fill(tab.setup.ready)[0]
    assert chips.count("<button") == len(offered)
    assert [tab.choose_example(clicked(action=str(number))) for number in range(len(offered) + 1)] == [*offered, ""]
    assert tab.choose_example(clicked(action="-1")) == tab.choose_example(clicked(action="en")) == ""


def test_the_start_shows_photos_and_an_empty_query_does_so_again(setup: Setup) -> None:
    with gr.Blocks():
        tab = SearchTab(setup)
    names = [hit.name for hit in setup.ready.searcher.browse(24)]
    filled = tab.fill(setup.ready)
    assert len(filled) == len(tab.outputs) and shown(filled[-1]) == names
    said, page = tab.answer(" ")
    assert said == "" and shown(page) == names


def test_answers_go_on_where_their_list_ends(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space_search_tab, "PAGE", 5)
    tab = SearchTab.__new__(SearchTab)
    tab.setup = setup
    for found, data in (
        (setup.ready.searcher.search("Hund", 24), {"query": "Hund"}),
        (setup.ready.searcher.more_like("3", 24), {"like": "3"}),
        (setup.ready.searcher.browse(24), {}),
    ):
        names = [hit.name for hit in found]
        for count, is_more in ((5, True), (10, True), (20, len(names) > 25)):
            _, page, why = tab.click(clicked(action="next", count=str(count), **data))
            assert shown(page) == names[: count + 5] and ("next" in page) == is_more
            assert why == gr.skip()
    _, page, _ = tab.click(clicked(action="next", count="9" * 99, query="Hund"))
    assert len(shown(page)) == 5


def test_an_opened_picture_is_explained_or_only_described(setup: Setup) -> None:
    tab = SearchTab.__new__(SearchTab)
    tab.setup = setup
    _, _, why = tab.click(clicked(action="open", id="3", query="Hund"))
    assert "Why it answers" in why and "<dt>Size</dt>" in why
    _, _, why = tab.click(clicked(action="open", id="3"))
    assert "Why it answers" not in why and "<dt>Size</dt>" in why
    said, _, why = tab.click(clicked(action="open", id="nosuch"))
    assert "no picture with this id" in said and why == gr.skip()


def test_favourites_are_those_that_the_browser_names(setup: Setup) -> None:
    tab = SearchTab.__new__(SearchTab)
    tab.setup = setup
    _, page = tab.favourites(clicked(id="5,nosuch,2"))
    assert shown(page) == ["02.png", "05.png"]
    said, page = tab.favourites(clicked(id=""))
    assert "None of them is here" in said and shown(page) == []


def test_filters_offer_what_there_is_to_choose(
    setup: Setup, scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("trips/a.png", "home/b.png"):
        (tmp_path / name).parent.mkdir()
        shutil.copy(scenes / "gallery" / "00.png", tmp_path / name)
    ready = ready_from(setup.ready.retriever, open_source(tmp_path), print)
    with gr.Blocks():
        row = FilterRow()
    box, kind, folder, *_ = row.fill(ready)
    assert box.visible and folder.visible and not kind.visible
    assert [value for _, value in folder.choices] == ["", "home", "trips"]
    assert not row.fill(setup.ready)[0].visible
    tab = SearchTab.__new__(SearchTab)
    tab.setup = Setup(lambda say: ready).finish()
    for query in ("", "Hund"):
        assert shown(tab.answer(query, "", "trips", "", "", False, 0.0)[1]) == ["trips/a.png"]
    assert "no such folder" in tab.answer("Hund", "", "../trips", "", "", False, 0.0)[0]
    monkeypatch.setattr(PictureStore, "_allowed", lambda self, filters: np.empty(0, dtype=int))
    for query in ("", "Hund"):
        assert "No picture passes these filters." in tab.answer(query, "", "trips", "", "", False, 0.0)[0]
