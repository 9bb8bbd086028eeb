"""The tab Search: a query, the pictures that answer it, and why."""

from typing import Any

import gradio as gr
import space_html
from space_errors import SpaceError
from space_languages import direction, language_name
from space_search import LONGEST_QUERY, Searcher, check_confidence, check_query, fitting
from space_setup import Ready, Setup

SHOWN = 12
DETECT = "auto"
# One limit for everything that runs the model, whichever tab it comes from.
MODEL_LIMITS: dict[str, Any] = {"concurrency_limit": 2, "concurrency_id": "model", "api_visibility": "private"}
SHOW_WHY = "() => document.querySelector('{}')?.scrollIntoView({{block: 'nearest'}})"
NOTHING_YET = space_html.empty("Ask for something in your own language.")
NO_WHY = space_html.empty("Choose a picture to see why it answers.")


class SearchTab:
    """The components of the tab that are filled when everything is ready.

    Args:
        setup: What is searched.
    """

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self._add_query()
        self.examples = gr.HTML(js_on_load=space_html.FORWARD_CLICKS, elem_id="examples")
        self.status = gr.HTML(elem_id="search-status")
        with gr.Row():
            with gr.Column(scale=3, min_width=300):
                self.results = gr.HTML(NOTHING_YET, js_on_load=space_html.FORWARD_CLICKS, elem_id="results")
            with gr.Column(scale=2, min_width=300):
                self.why = gr.HTML(NO_WHY, js_on_load=space_html.FORWARD_CLICKS, elem_id="why")
        self._connect()

    def _add_query(self) -> None:
        with gr.Row(elem_classes="ask"):
            self.query = query_box("What are you looking for?", "query")
            self.language = gr.Dropdown(
                [("Detect", DETECT)],
                value=DETECT,
                label="Language",
                info="Only for display: the model reads them all",
                scale=1,
                min_width=190,
                elem_id="language",
            )
            self.least = gr.Slider(
                0, 1, 0, step=0.05, label="Least confidence", scale=1, min_width=190, elem_id="least-confidence"
            )
            self.button = gr.Button("Search", variant="primary", scale=1, min_width=110, elem_id="search")

    def _connect(self) -> None:
        answer = {"fn": self.answer, "inputs": [self.query, self.language, self.least], **MODEL_LIMITS}
        answer["outputs"] = [self.status, self.results, self.why]
        gr.on([self.query.submit, self.button.click], **answer)
        self.examples.click(self.choose_example, None, self.query, api_visibility="private").then(**answer)
        self.language.change(self.turn, self.language, self.query, api_visibility="private", show_progress="hidden")
        self.results.click(self.open, None, [self.status, self.why], **MODEL_LIMITS).then(
            None, js=SHOW_WHY.format("#why section"), api_visibility="private"
        )
        self.why.click(self.more_like, None, [self.status, self.results], **MODEL_LIMITS).then(
            None, js=SHOW_WHY.format("#search-status"), api_visibility="private"
        )

    def fill(self, ready: Ready) -> list[Any]:
        """Return what the language list and the examples become."""
        choices = [("Detect", DETECT), *((language_name(code), code) for code in ready.languages)]
        return [gr.Dropdown(choices), space_html.chips(self._examples(ready), "Examples")]

    @staticmethod
    def _examples(ready: Ready) -> list[tuple[str, str]]:
        """Return languages and queries: one per language, each from another idea as long as there are enough.

        Where all are in one language, as descriptions are, all of them are returned.
        """
        by_language = {code: [idea[code] for idea in ready.ideas if code in idea] for code in ready.languages}
        by_language = {code: texts for code, texts in by_language.items() if texts}
        if len(by_language) == 1:
            return [(code, text) for code, texts in by_language.items() for text in texts]
        numbered = enumerate(list(by_language.items())[:6])
        return [(code, texts[number % len(texts)]) for number, (code, texts) in numbered]

    def choose_example(self, event: gr.EventData) -> str:
        """Put an example into the query box."""
        try:
            examples = self._examples(self.setup.ready)
        except SpaceError:
            return ""
        return {str(number): text for number, (_, text) in enumerate(examples)}.get(text_of(event, "action"), "")

    @staticmethod
    def turn(language: str) -> Any:
        """Let the query box be written from right to left where the language is."""
        return gr.Textbox(rtl=direction(language) == "rtl")

    def answer(self, query: str, chosen: str, least: float = 0.0) -> tuple[Any, Any, Any]:
        """Search, and return the status, the pictures that are sure enough, and an empty explanation."""
        try:
            ready, least = self.setup.ready, check_confidence(least)
            query = check_query(query)
            found = ready.searcher.search(query, SHOWN)
            hits = fitting(found, least)
        except SpaceError as error:
            return space_html.status(str(error), "error"), gr.skip(), gr.skip()
        language = chosen if chosen in ready.languages else ready.detector.detect(query)
        unknown = ready.searcher.retriever.unknown_share(query)
        said = space_html.search_status(
            query, language, chosen in ready.languages, len(hits), len(ready.searcher), unknown
        )
        if found and not hits:
            return said + space_html.nothing_fits(found[0]), "", NO_WHY
        shown = space_html.legend(hits) + space_html.tiles(hits, query, "Pictures, best first")
        return said, shown, NO_WHY

    def open(self, event: gr.EventData) -> tuple[Any, Any]:
        """Explain the picture that was clicked."""
        try:
            return gr.skip(), explain_click(self.setup.ready.searcher, event)
        except SpaceError as error:
            return space_html.status(str(error), "error"), gr.skip()

    def more_like(self, event: gr.EventData) -> tuple[Any, Any]:
        """Find pictures like the one that is explained."""
        try:
            searcher = self.setup.ready.searcher
            hits = searcher.more_like(text_of(event, "id"), SHOWN)
            query = check_query(text_of(event, "query"))
        except SpaceError as error:
            return space_html.status(str(error), "error"), gr.skip()
        said = space_html.status("Pictures most like the one you chose; the scores compare pictures.")
        return said, space_html.tiles(hits, query, "Pictures like the one chosen")


def query_box(label: str, elem_id: str) -> gr.Textbox:
    """Return a box for one query, as wide as its row allows."""
    return gr.Textbox(
        label=label,
        placeholder="A sentence in your language",
        max_length=LONGEST_QUERY,
        lines=1,
        max_lines=1,
        scale=5,
        min_width=280,
        elem_id=elem_id,
        html_attributes=gr.InputHTMLAttributes(enterkeyhint="search", autocomplete="off"),
    )


def text_of(event: gr.EventData, name: str) -> str:
    """Return what a click says, or nothing: it comes from the browser, so it may be anything."""
    data = event._data if isinstance(event._data, dict) else {}
    text = data.get(name, "")
    return text if isinstance(text, str) else ""


def explain_click(searcher: Searcher, event: gr.EventData, more: bool = True) -> str:
    """Return the explanation of the picture that was clicked, as HTML."""
    id, query = text_of(event, "id"), check_query(text_of(event, "query"))
    return space_html.explanation(searcher.explain(id, query), id, query, more)
