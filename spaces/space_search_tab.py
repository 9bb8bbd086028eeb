"""The tab Search: photos, a query, and the pictures that answer it; an opened picture says why."""

from typing import Any

import gradio as gr
import space_html
from space_errors import SpaceError
from space_filter_row import FilterRow
from space_search import LONGEST_QUERY, Hit, Searcher, check_query, fitting
from space_setup import Ready, Setup
from space_tiles import nothing_fits, nothing_found, tiles
from space_why import details, explanation

PAGE, MOST_SHOWN = 60, 600
MOST_EXAMPLES = 8
# One limit for everything that runs the model, whichever tab it comes from.
MODEL_LIMITS: dict[str, Any] = {"concurrency_limit": 2, "concurrency_id": "model", "api_visibility": "private"}
# Of an opened picture only the last one that a visitor went to is explained.
CLICKS: dict[str, Any] = {**MODEL_LIMITS, "show_progress": "hidden", "trigger_mode": "always_last"}
WHY = "why"
MARKS = """
<div class="marks" hidden>
  <button type="button" class="chip" data-action="favourites" data-id="">Favourites</button>
  <span class="count note for-picked"></span>
  <a class="chip for-picked" download="pictures.zip">Download</a>
  <button type="button" class="chip for-picked" data-marks="keep">Add to favourites</button>
  <button type="button" class="chip for-picked" data-marks="clear">Clear the selection</button>
</div>
"""


class SearchTab:
    """The components of the tab that are filled when everything is ready.

    Args:
        setup: What is searched.
    """

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        with gr.Row(elem_classes="ask"):
            self.query = query_box("What are you looking for?", "query")
            self.button = gr.Button("Search", variant="primary", scale=0, elem_id="search")
        self.examples = gr.HTML(js_on_load=space_html.FORWARD_CLICKS, elem_id="examples")
        self.filters = FilterRow()
        self.status = gr.HTML(elem_id="search-status")
        self.marks = gr.HTML(MARKS, js_on_load=space_html.FORWARD_CLICKS, elem_id="marks")
        self.results = gr.HTML(js_on_load=space_html.FORWARD_CLICKS, elem_id="results")
        with gr.Column(elem_classes="reasons"):
            self.why = gr.HTML(js_on_load=space_html.FORWARD_CLICKS, elem_id=WHY)
        self._connect()

    def _connect(self) -> None:
        filters = self.filters.inputs
        shown = [self.status, self.results]
        answer: dict[str, Any] = {"fn": self.answer, "inputs": [self.query, *filters], "outputs": shown, **MODEL_LIMITS}
        gr.on([self.query.submit, self.button.click, *(box.input for box in filters)], **answer)
        self.examples.click(self.choose_example, None, self.query, api_visibility="private").then(**answer)
        self.results.click(self.click, filters, [*shown, self.why], **CLICKS)
        self.why.click(self.more_like, None, shown, **MODEL_LIMITS)
        self.marks.click(self.favourites, None, shown, **MODEL_LIMITS)

    @property
    def outputs(self) -> list[Any]:
        """What `fill` fills."""
        return [self.examples, *self.filters.outputs, self.results]

    def fill(self, ready: Ready) -> list[Any]:
        """Return what the examples and the filters become, and the first photos."""
        examples = self._examples(ready)
        chips = space_html.chips(examples, "Examples") if examples else ""
        return [chips, *self.filters.fill(ready), _browse(ready.searcher.browse(PAGE + 1), PAGE)]

    @staticmethod
    def _examples(ready: Ready) -> list[tuple[str, str]]:
        """Return languages and queries: one per language, each from another idea as long as there are enough.

        Where all are in one language, as descriptions are, all of them are returned.
        """
        by_language = {code: [idea[code] for idea in ready.ideas if code in idea] for code in ready.languages}
        by_language = {code: texts for code, texts in by_language.items() if texts}
        if len(by_language) == 1:
            return [(code, text) for code, texts in by_language.items() for text in texts]
        numbered = enumerate(list(by_language.items())[:MOST_EXAMPLES])
        return [(code, texts[number % len(texts)]) for number, (code, texts) in numbered]

    def choose_example(self, event: gr.EventData) -> str:
        """Put an example into the query box."""
        try:
            examples = self._examples(self.setup.ready)
        except SpaceError:
            return ""
        return {str(number): text for number, (_, text) in enumerate(examples)}.get(text_of(event, "action"), "")

    def answer(self, query: str, *chosen: Any, count: int = PAGE) -> tuple[Any, Any]:
        """Search, and return the status and the pictures that are sure enough; all pictures without a query.

        Args:
            query: What a visitor typed.
            *chosen: Values of the filters.
            count: Most pictures shown.
        """
        try:
            ready = self.setup.ready
            filters, least = FilterRow.check(ready, chosen)
            if not str(query or "").strip():
                photos = ready.searcher.browse(count + 1, filters)
                return "" if photos else nothing_found("", filters), _browse(photos, count)
            query = check_query(query)
            found = ready.searcher.search(query, count + 1, filters)
            hits = fitting(found, least)
        except SpaceError as error:
            return space_html.status(str(error), "error"), gr.skip()
        unknown = ready.retriever.unknown_share(query)
        said = space_html.search_status(query, ready.detector.detect(query), len(ready.searcher), unknown)
        if not found:
            return said + nothing_found(query, filters), ""
        if not hits:
            return said + nothing_fits(found[0]), ""
        return said, tiles(hits[:count], query, "Pictures, best first", WHY, has_more=_has_more(hits, count))

    def click(self, event: gr.EventData, *chosen: Any) -> tuple[Any, Any, Any]:
        """Open a picture, or go on with the list."""
        action = text_of(event, "action")
        if action == "next":
            count = min(_number(text_of(event, "count")) + PAGE, MOST_SHOWN)
            if like := text_of(event, "like"):
                return (*self._like(like, count), gr.skip())
            return (*self.answer(text_of(event, "query"), *chosen, count=count), gr.skip())
        try:
            return gr.skip(), gr.skip(), explain_click(self.setup.ready.searcher, event)
        except SpaceError as error:
            return space_html.status(str(error), "error"), gr.skip(), gr.skip()

    def more_like(self, event: gr.EventData) -> tuple[Any, Any]:
        """Find pictures like the one that is opened."""
        return self._like(text_of(event, "id"), PAGE)

    def _like(self, id: str, count: int) -> tuple[Any, Any]:
        try:
            hits = self.setup.ready.searcher.more_like(id, count + 1)
        except SpaceError as error:
            return space_html.status(str(error), "error"), gr.skip()
        label = "Pictures like the one chosen"
        said = space_html.status("Pictures most like the one you chose.")
        return said, tiles(hits[:count], "", label, WHY, like=id, has_more=_has_more(hits, count))

    def favourites(self, event: gr.EventData) -> tuple[Any, Any]:
        """Show the pictures that a visitor's browser remembers."""
        try:
            hits = self.setup.ready.searcher.choose(text_of(event, "id").split(",")[:MOST_SHOWN])
        except SpaceError as error:
            return space_html.status(str(error), "error"), gr.skip()
        said = space_html.status("Your favourites, which only this browser knows." if hits else "None of them is here.")
        return said, tiles(hits, "", "Favourites", WHY)


def _browse(hits: list[Hit], count: int) -> str:
    return tiles(hits[:count], "", "Pictures", WHY, has_more=_has_more(hits, count))


def _has_more(hits: list[Hit], count: int) -> bool:
    return len(hits) > count and count < MOST_SHOWN


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 5 else 0


def query_box(label: str, elem_id: str) -> gr.Textbox:
    """Return a box for one query, as wide as its row allows."""
    return gr.Textbox(
        label=label,
        show_label=False,
        container=False,
        placeholder=label,
        max_length=LONGEST_QUERY,
        lines=1,
        max_lines=1,
        scale=5,
        elem_id=elem_id,
        html_attributes=gr.InputHTMLAttributes(enterkeyhint="search", autocomplete="off"),
    )


def text_of(event: gr.EventData, name: str) -> str:
    """Return what a click says, or nothing: it comes from the browser, so it may be anything."""
    data = event._data if isinstance(event._data, dict) else {}
    text = data.get(name, "")
    return text if isinstance(text, str) else ""


def explain_click(searcher: Searcher, event: gr.EventData, more: bool = True) -> str:
    """Return the explanation of the picture that was opened, as HTML; only details where nothing was asked for."""
    id, query = text_of(event, "id"), text_of(event, "query")
    facts = searcher.facts(id)
    if not query:
        return details(id, facts, more)
    query = check_query(query)
    return explanation(searcher.explain(id, query), id, query, facts, more)
