"""The row of filters: kind, folder, years, and how sure answers have to be; each only where there is a choice."""

from collections.abc import Sequence
from typing import Any

import gradio as gr
from space_filters import KINDS, Filters, check_filters
from space_search import check_confidence
from space_setup import Ready

ANY = ""


class FilterRow:
    """The components of the row, hidden until it is known what there is to choose."""

    def __init__(self) -> None:
        with gr.Accordion("Filters", open=False, visible=False, elem_id="filters") as self.box, gr.Row():
            self.kind = _list("Kind", "filter-kind")
            self.folder = _list("Folder", "filter-folder")
            self.since = _list("Taken since", "filter-since")
            self.until = _list("Taken until", "filter-until")
            self.alike = gr.Checkbox(label="Show near duplicates, too", visible=False, elem_id="filter-alike")
            self.least = gr.Slider(
                0, 1, 0, step=0.05, label="Minimum confidence", visible=False, elem_id="filter-least"
            )

    @property
    def inputs(self) -> list[Any]:
        """What `check` reads."""
        return [self.kind, self.folder, self.since, self.until, self.alike, self.least]

    @property
    def outputs(self) -> list[Any]:
        """What `fill` fills."""
        return [self.box, *self.inputs]

    def fill(self, ready: Ready) -> list[Any]:
        """Return what the row becomes."""
        facets = ready.searcher.facets()
        says_how_sure = ready.retriever.confidence([0.0], "a") != [None]
        years = [(str(year), year) for year in facets.years]
        return [
            gr.Accordion(visible=says_how_sure or not facets.is_empty),
            _choices([(KINDS.get(kind, kind), kind) for kind in facets.kinds], least=2),
            _choices([(folder, folder) for folder in facets.folders], least=1),
            _choices(years, least=2),
            _choices(years, least=2),
            gr.Checkbox(visible=facets.has_duplicates),
            gr.Slider(visible=says_how_sure),
        ]

    @staticmethod
    def check(ready: Ready, chosen: Sequence[Any]) -> tuple[Filters, float]:
        """Return the filters and the least confidence that a visitor chose.

        Raises:
            SpaceError: If one of them is not among those offered.
        """
        if not chosen:
            return Filters(), 0.0
        kind, folder, since, until, alike, least = chosen
        return check_filters(ready.searcher.facets(), kind, folder, since, until, alike), check_confidence(least)


def _list(label: str, elem_id: str) -> gr.Dropdown:
    return gr.Dropdown([("Any", ANY)], value=ANY, label=label, visible=False, min_width=150, elem_id=elem_id)


def _choices(values: list[tuple[str, Any]], least: int) -> Any:
    return gr.Dropdown([("Any", ANY), *values], value=ANY, visible=len(values) >= least)
