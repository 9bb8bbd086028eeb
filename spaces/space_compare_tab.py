"""The tab Compare languages: one idea in six languages, side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr
import space_html
from space_errors import SpaceError
from space_languages import SIX, language_name
from space_search import LONGEST_QUERY, check_query
from space_search_tab import MODEL_LIMITS, NO_WHY, SHOW_WHY, explain_click
from space_setup import Ready, Setup

TOP = 10


class CompareTab:
    """The components of the tab.

    Args:
        setup: What is searched.
    """

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        gr.Markdown(
            "The same idea in six languages: where the pictures differ, a translation has lost something. "
            "Change the texts as you like; empty ones are left out."
        )
        self.idea = gr.State(0)
        with gr.Row():
            self.boxes = [_idea_box(code) for code in SIX]
        with gr.Row():
            self.another = gr.Button("Another idea", elem_id="another")
            compare = gr.Button("Compare", variant="primary", elem_id="compare")
        self.comparison = gr.HTML(
            space_html.empty("Press Compare."), js_on_load=space_html.FORWARD_CLICKS, elem_id="comparison"
        )
        self.why = gr.HTML(elem_id="compare-why")
        self.another.click(
            self.next_idea, self.idea, [self.idea, *self.boxes], api_visibility="private", show_progress="hidden"
        )
        answer = {"fn": self.compare, "inputs": self.boxes, "outputs": [self.comparison, self.why], **MODEL_LIMITS}
        gr.on([compare.click, *(box.submit for box in self.boxes)], **answer)
        self.comparison.click(self.open, None, self.why, **MODEL_LIMITS).then(
            None, js=SHOW_WHY.format("#compare-why section"), api_visibility="private"
        )

    def fill(self, ready: Ready) -> list[Any]:
        """Return the texts of the first idea, and the button for another, which is hidden where there is no other."""
        return [*_texts(ready.ideas, 0), gr.Button(visible=len(ready.ideas) > 1)]

    def next_idea(self, number: int) -> list[Any]:
        """Return the number and the texts of the idea after one."""
        try:
            ideas = self.setup.ready.ideas
        except SpaceError:
            return [number, *(gr.skip() for _ in SIX)]
        number = (number + 1) % max(1, len(ideas))
        return [number, *_texts(ideas, number)]

    def compare(self, *texts: str) -> tuple[Any, Any]:
        """Search in every language that has a text."""
        columns = {}
        for code, text in zip(SIX, texts, strict=True):
            if not str(text or "").strip():
                continue
            try:
                query = check_query(text)
                columns[code] = (query, self.setup.ready.searcher.search(query, TOP))
            except SpaceError as error:
                return space_html.status(f"{language_name(code)}: {error}", "error"), ""
        if len(columns) < 2:
            return space_html.status("Write the idea in two languages or more.", "error"), ""
        return space_html.comparison(columns, TOP), NO_WHY

    def open(self, event: gr.EventData) -> str:
        """Explain the picture that was clicked."""
        try:
            return explain_click(self.setup.ready.searcher, event, more=False)
        except SpaceError as error:
            return space_html.status(str(error), "error")


def _texts(ideas: Sequence[Mapping[str, str]], number: int) -> list[str]:
    """Return an idea in the six languages; nothing where there is none."""
    idea = ideas[number] if ideas else {}
    return [idea.get(code, "") for code in SIX]


def _idea_box(code: str) -> gr.Textbox:
    return gr.Textbox(
        label=language_name(code),
        max_length=LONGEST_QUERY,
        lines=2,
        max_lines=2,
        min_width=320,
        elem_id=f"idea-{code}",
        html_attributes=gr.InputHTMLAttributes(lang=code, autocomplete="off"),
    )
