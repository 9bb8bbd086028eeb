import copy
import datetime
from pathlib import Path

import gradio as gr
from space_model import Retriever
from space_own_tab import OwnTab
from space_page import build_page
from space_setup import Setup
from space_uploads import SECONDS_KEPT, add_uploads

from tests.spaces.hostile import png, write


def test_a_visit_is_forgotten_with_all_that_it_showed(retriever: Retriever, setup: Setup, tmp_path: Path) -> None:
    with gr.Blocks(analytics_enabled=False) as page:
        tab = OwnTab(setup, page)
    page.queue()
    visits = {}
    for name, minutes in (("old", SECONDS_KEPT / 60 + 1), ("new", SECONDS_KEPT / 60 - 1)):
        store, _ = add_uploads(None, [write(tmp_path, f"{name}.png", png())], retriever)
        session = page.state_holder[name]
        session[tab.store._id] = store
        session._update_value_in_config(tab.own._id, "data:image/jpeg;base64,...")
        changed = datetime.datetime.now() - datetime.timedelta(minutes=minutes)
        session._state_ttl[tab.store._id] = (SECONDS_KEPT, changed)
        tab._visits[store] = name
        visits[name] = store
    page.state_holder.delete_all_expired_state()
    assert set(page.state_holder.session_data) == {"new"}
    assert (len(visits["old"]), len(visits["new"])) == (0, 1)


def test_the_page_bounds_how_many_wait(setup: Setup) -> None:
    page = build_page(setup)
    assert page._queue.max_size == 64
    model = [block for block in page.fns.values() if block.concurrency_id == "model"]
    assert len(model) >= 5 and {block.concurrency_limit for block in model} == {2}
    assert {block.concurrency_limit for block in page.fns.values() if block.concurrency_id == "own"} == {1}


class Heavy(Setup):
    """What must not be copied, since it holds the model."""

    def __deepcopy__(self, memo: dict) -> "Heavy":
        raise AssertionError("copied")


def test_opening_the_page_copies_no_model(setup: Setup) -> None:
    page = build_page(Heavy(lambda say: setup.ready).finish())
    assert copy.deepcopy(page.config["components"])
