"""What the page shows before there is a gallery: a choice of the folder whose photos are to be searched."""

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Protocol

import gradio as gr
import space_html
from space_errors import SpaceError

if TYPE_CHECKING:
    from space_setup import Setup

LIMITS: dict[str, Any] = {"concurrency_limit": 1, "api_visibility": "private", "show_progress": "hidden"}


@dataclass(frozen=True)
class Listing:
    """A folder that may be chosen.

    Attributes:
        name: Its path, to show.
        pictures: How many pictures and videos are directly in it.
        folders: Ids and names of where one can go from it, the folder above first.
    """

    name: str
    pictures: int
    folders: list[tuple[str, str]]


class Chooser(Protocol):
    """Folders of the machine that the page runs on. The browser names them by ids, and never by paths."""

    def listing(self) -> Listing:
        """Return the folder that is open."""

    def enter(self, id: str) -> Listing:
        """Open another folder; SpaceError if no listing has offered it."""

    def choose(self) -> None:
        """Have the folder that is open indexed, when the page is set up."""


class FirstRun:
    """The components of the choice; hidden as soon as it is made.

    Args:
        setup: Started with the choice.
    """

    def __init__(self, setup: "Setup") -> None:
        self.setup = setup
        with gr.Column(visible=setup.is_waiting, elem_id="first-run") as self.box:
            gr.Markdown("## Which folder holds your photos?")
            self.listing = gr.HTML(js_on_load=space_html.FORWARD_CLICKS, elem_id="folders")
            self.button = gr.Button("Search the photos in this folder, and in those below it", variant="primary")
        if setup.is_waiting:
            self.listing.click(self.enter, None, self.listing, **LIMITS)
            self.button.click(self.choose, None, self.box, **LIMITS)

    def show(self) -> str:
        """Return the folder that is open; nothing where none is to be chosen."""
        chooser = self.setup.chooser
        return "" if chooser is None else listed(chooser.listing())

    def enter(self, event: gr.EventData) -> str:
        """Open the folder that was clicked."""
        data = event._data if isinstance(event._data, dict) else {}
        try:
            return "" if self.setup.chooser is None else listed(self.setup.chooser.enter(str(data.get("id", ""))))
        except SpaceError as error:
            return space_html.status(str(error), "error") + self.show()

    def choose(self) -> Any:
        """Begin to index the folder; what becomes of it is shown above the tabs."""
        if self.setup.chooser is not None and self.setup.is_waiting:
            self.setup.chooser.choose()
            self.setup.start()
        return gr.Column(visible=False)


def listed(listing: Listing) -> str:
    """Return a folder as HTML."""
    chips = "".join(
        f'<button type="button" class="chip" data-action="enter" data-id="{escape(id)}"><bdi>{escape(name)}</bdi>'
        "</button>"
        for id, name in listing.folders
    )
    return (
        f'<p role="status"><b dir="auto">{escape(listing.name)}</b>: {listing.pictures:,} pictures and videos directly '
        f'in it.</p><div class="chips folders" role="group" aria-label="Other folders">{chips}</div>'
    )
