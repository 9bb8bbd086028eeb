"""The tab Compare languages: one idea in the languages that the model reads, side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr
import space_html
from space_comparison import Column, comparison
from space_errors import SpaceError
from space_languages import language_name
from space_search import LONGEST_QUERY, check_query
from space_search_tab import CLICKS, MODEL_LIMITS, explain_click
from space_setup import Ready, Setup

TOP = 10
MOST_LANGUAGES = 8
WHY = "compare-why"
ONE_LANGUAGE = (
    "This model was trained with texts in one language, so there are no others to compare. It may understand more: try "
    "them in a search."
)
HOW = (
    "Write the same idea in several languages: where the pictures differ, a translation has lost something. Empty ones "
    "are left out."
)


class CompareTab:
    """The components of the tab: a box for each of the model's languages, as long as there are not too many.

    Args:
        setup: What is searched.
    """

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.how = gr.Markdown(HOW)
        self.idea = gr.State(0)
        with gr.Row():
            self.boxes = [_idea_box(number) for number in range(MOST_LANGUAGES)]
        with gr.Row():
            self.another = gr.Button("Another idea", elem_id="another", visible=False)
            self.button = gr.Button("Compare", variant="primary", elem_id="compare", visible=False)
        self.comparison = gr.HTML(js_on_load=space_html.FORWARD_CLICKS, elem_id="comparison")
        with gr.Column(elem_classes="reasons"):
            self.why = gr.HTML(elem_id=WHY)
        self.another.click(
            self.next_idea, self.idea, [self.idea, *self.boxes], api_visibility="private", show_progress="hidden"
        )
        answer = {"fn": self.compare, "inputs": self.boxes, "outputs": self.comparison, **MODEL_LIMITS}
        gr.on([self.button.click, *(box.submit for box in self.boxes)], **answer)
        self.comparison.click(self.open, None, self.why, **CLICKS)

    @property
    def outputs(self) -> list[Any]:
        """What `fill` fills."""
        return [self.how, *self.boxes, self.another, self.button]

    def fill(self, ready: Ready) -> list[Any]:
        """Return a box for each language with its text of the first idea, and the buttons that are of use."""
        languages = compared(ready)
        if len(languages) < 2:
            hidden = [gr.Textbox(visible=False) for _ in self.boxes]
            return [gr.Markdown(ONE_LANGUAGE), *hidden, gr.Button(visible=False), gr.Button(visible=False)]
        return [
            gr.Markdown(HOW),
            *_texts(languages, ready.ideas, 0),
            gr.Button(visible=len(ready.ideas) > 1),
            gr.Button(visible=True),
        ]

    def next_idea(self, number: int) -> list[Any]:
        """Return the number and the texts of the idea after one."""
        try:
            ready = self.setup.ready
        except SpaceError:
            return [number, *(gr.skip() for _ in self.boxes)]
        number = (number + 1) % max(1, len(ready.ideas))
        return [number, *_texts(compared(ready), ready.ideas, number)]

    def compare(self, *texts: str) -> Any:
        """Search in every language that has a text."""
        columns = {}
        try:
            ready = self.setup.ready
        except SpaceError as error:
            return space_html.status(str(error), "error")
        for code, text in zip(compared(ready), texts):
            if not str(text or "").strip():
                continue
            try:
                query = check_query(text)
                unknown = ready.retriever.unknown_share(query)
                columns[code] = Column(query, ready.searcher.search(query, TOP), unknown)
            except SpaceError as error:
                return space_html.status(f"{language_name(code)}: {error}", "error")
        if len(columns) < 2:
            return space_html.status("Write the idea in two languages or more.", "error")
        return comparison(columns, TOP, WHY)

    def open(self, event: gr.EventData) -> str:
        """Explain the picture that was opened."""
        try:
            return explain_click(self.setup.ready.searcher, event, more=False)
        except SpaceError as error:
            return space_html.status(str(error), "error")


def compared(ready: Ready) -> list[str]:
    """Return the languages to compare: where the model reads many, first those in which there are ideas."""
    offered = {code for idea in ready.ideas for code in idea}
    return sorted(ready.languages, key=lambda code: code not in offered)[:MOST_LANGUAGES]


def _texts(languages: Sequence[str], ideas: Sequence[Mapping[str, str]], number: int) -> list[Any]:
    """Return the boxes with an idea in their languages; nothing where there is none."""
    idea = ideas[number] if ideas else {}
    boxes = [gr.Textbox(idea.get(code, ""), label=language_name(code), visible=True) for code in languages]
    return [*boxes, *(gr.Textbox("", visible=False) for _ in range(MOST_LANGUAGES - len(boxes)))]


def _idea_box(number: int) -> gr.Textbox:
    return gr.Textbox(
        label=f"Language {number + 1}",
        visible=False,
        max_length=LONGEST_QUERY,
        lines=2,
        max_lines=2,
        min_width=280,
        elem_id=f"idea-{number}",
        html_attributes=gr.InputHTMLAttributes(autocomplete="off"),
    )
