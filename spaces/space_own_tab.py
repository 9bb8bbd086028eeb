"""The tab Your own pictures: a visitor's uploads, ready to search immediately and kept only for the visit."""

from typing import Any
from weakref import WeakKeyDictionary

import gradio as gr
import space_html
from space_describer import Describer
from space_errors import SpaceError
from space_pictures import image_suffixes
from space_search import MOST_PIXELS, check_query
from space_search_tab import CLICKS, explain_click, query_box, text_of
from space_setup import Setup
from space_store import PictureStore
from space_tiles import tiles
from space_uploads import (
    LONGEST_DESCRIPTION,
    MOST_BYTES,
    MOST_OWN,
    SECONDS_KEPT,
    add_uploads,
    describe_upload,
)

# Uploads are decoded one after the other, which bounds the memory that all visitors together can use.
LIMITS: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "own", "api_visibility": "private"}
WHY = "own-why"
SHOW_EDITOR = "() => document.querySelector('#own-description')?.scrollIntoView({block: 'nearest'})"
NONE_YET = space_html.empty("No pictures yet.")
RULES = (
    f"Add up to {MOST_OWN} pictures of at most {MOST_BYTES // 2**20} MB and {MOST_PIXELS // 10**6} million pixels. "
    "They are made small and kept in the server's memory only for your visit: nobody else can search or see them, and "
    "they are forgotten when you remove them, or at the latest an hour after your last change. Choose a "
    "picture below to describe it in words, which helps models that use descriptions."
)


class OwnTab:
    """The components of the tab.

    Args:
        setup: The model is taken from it.
        page: The page that the tab is on.
    """

    def __init__(self, setup: Setup, page: gr.Blocks) -> None:
        self.setup = setup
        self.page = page
        self.describer = Describer.from_environment()
        self._visits: WeakKeyDictionary[PictureStore, str] = WeakKeyDictionary()
        # For every visitor Gradio copies what components are made with: of a method its object, and so the model.
        self.store = gr.State(None, time_to_live=SECONDS_KEPT, delete_callback=lambda store: self.expire(store))
        self.chosen = gr.State("")
        gr.Markdown(RULES)
        with gr.Row():
            self.upload = gr.UploadButton(
                "Add pictures",
                variant="primary",
                file_count="multiple",
                file_types=sorted(image_suffixes()),
                elem_id="upload",
            )
            self.clear_button = gr.Button("Remove all", elem_id="clear")
        self.status = gr.HTML(elem_id="own-status")
        self.own = gr.HTML(NONE_YET, js_on_load=space_html.FORWARD_CLICKS, elem_id="own")
        self._add_editor()
        self._add_search()
        self._connect_pictures()
        self._connect_search()

    def _add_editor(self) -> None:
        with gr.Group(visible=False) as self.editor:
            self.description = gr.Textbox(
                label="What the chosen picture shows (optional, English is best)",
                max_length=LONGEST_DESCRIPTION,
                lines=2,
                elem_id="own-description",
            )
            with gr.Row():
                self.generate_button = gr.Button(
                    "Describe it for me", visible=self.describer is not None, elem_id="own-generate"
                )
                self.save_button = gr.Button("Save the description", elem_id="own-save")
                self.remove_button = gr.Button("Remove the picture", elem_id="own-remove")

    def _add_search(self) -> None:
        with gr.Row(elem_classes="ask"):
            self.query = query_box("What are you looking for in your pictures?", "own-query")
            self.search_button = gr.Button("Search", variant="primary", scale=0, elem_id="own-search")
        self.said = gr.HTML(elem_id="own-said")
        self.results = gr.HTML(js_on_load=space_html.FORWARD_CLICKS, elem_id="own-results")
        with gr.Column(elem_classes="reasons"):
            self.why = gr.HTML(elem_id=WHY)

    def _connect_pictures(self) -> None:
        shown = [self.store, self.status, self.own, self.said, self.results, self.why, self.editor]
        self.upload.upload(self.add, [self.upload, self.store], [*shown, self.upload], **LIMITS)
        self.clear_button.click(self.clear, self.store, shown, **LIMITS)
        self.remove_button.click(self.remove, [self.store, self.chosen], shown, **LIMITS)
        self.save_button.click(self.describe, [self.store, self.chosen, self.description], shown, **LIMITS)
        generated = [self.status, self.description]
        self.generate_button.click(self.generate, [self.store, self.chosen], generated, **LIMITS)
        edited = [self.status, self.chosen, self.description, self.editor]
        self.own.click(self.choose, self.store, edited, **LIMITS).then(None, js=SHOW_EDITOR, api_visibility="private")

    def _connect_search(self) -> None:
        asked = [self.query.submit, self.search_button.click]
        gr.on(asked, self.answer, [self.query, self.store], [self.said, self.results], **LIMITS)
        self.results.click(self.open, self.store, [self.said, self.why], **{**CLICKS, **LIMITS})

    def expire(self, store: PictureStore | None) -> None:
        """Forget a visit that ended: Gradio itself would keep what it last showed, small pictures and all."""
        forget(store)
        if store is not None and (visit := self._visits.pop(store, None)) is not None:
            self.page.state_holder.session_data.pop(visit, None)

    def add(self, files: list[str] | None, store: PictureStore | None, request: gr.Request) -> list[Any]:
        """Take uploads in; the button is emptied, since it still names the files."""
        try:
            store, said = add_uploads(store, files or [], self.setup.ready.retriever)
        except SpaceError as error:
            return [*_kept(store, space_html.status(str(error), "error")), None]
        self._visits[store] = str(request.session_hash)
        return [*_changed(store, f'<div class="status" role="status">{said}</div>'), None]

    def clear(self, store: PictureStore | None) -> list[Any]:
        """Forget all pictures."""
        forget(store)
        return _changed(None, space_html.status("All your pictures are removed."))

    def remove(self, store: PictureStore | None, chosen: str) -> list[Any]:
        """Forget the chosen picture."""
        try:
            _needed(store).remove(chosen)
        except SpaceError as error:
            return _kept(store, space_html.status(str(error), "error"))
        return _changed(store, space_html.status("The picture is removed."))

    def describe(self, store: PictureStore | None, chosen: str, text: str) -> list[Any]:
        """Replace the chosen picture's description with a visitor's words."""
        try:
            said = describe_upload(_needed(store), chosen, text)
        except SpaceError as error:
            return _kept(store, space_html.status(str(error), "error"))
        return _changed(store, space_html.status(said))

    def generate(self, store: PictureStore | None, chosen: str) -> tuple[Any, Any]:
        """Let a model describe the chosen picture; the visitor reads the words before they are saved."""
        try:
            picture = _needed(store).picture(chosen).open()
            if self.describer is None:
                raise SpaceError("No model is set that describes pictures.")
            words = self.describer.describe(picture)[:LONGEST_DESCRIPTION]
        except SpaceError as error:
            return space_html.status(str(error), "error"), gr.skip()
        return space_html.status("A model wrote this description; correct it if need be, and save it."), words

    def choose(self, store: PictureStore | None, event: gr.EventData) -> tuple[Any, Any, Any, Any]:
        """Open the editor for a picture."""
        try:
            picture = _needed(store).picture(text_of(event, "id"))
        except SpaceError as error:
            return space_html.status(str(error), "error"), "", "", gr.Group(visible=False)
        said = space_html.status(f"Chosen: {picture.name}")
        return said, picture.id, picture.description or "", gr.Group(visible=True)

    def answer(self, query: str, store: PictureStore | None) -> tuple[Any, Any]:
        """Search a visitor's pictures."""
        try:
            query, ready = check_query(query), self.setup.ready
            hits = _needed(store).search(query, MOST_OWN)
        except SpaceError as error:
            return space_html.status(str(error), "error"), gr.skip()
        unknown = ready.retriever.unknown_share(query)
        said = space_html.search_status(query, ready.detector.detect(query), len(hits), unknown)
        return said, tiles(hits, query, "Your pictures, best first", WHY)

    def open(self, store: PictureStore | None, event: gr.EventData) -> tuple[Any, Any]:
        """Explain the picture that was clicked."""
        try:
            return gr.skip(), explain_click(_needed(store), event, more=False)
        except SpaceError as error:
            return space_html.status(str(error), "error"), gr.skip()


def forget(store: PictureStore | None) -> None:
    """Let go of a visitor's pictures."""
    if store is not None:
        for picture in store.pictures:
            store.remove(picture.id)


def _needed(store: PictureStore | None) -> PictureStore:
    if store is None or not len(store):
        raise SpaceError("Add some pictures first.")
    return store


def _changed(store: PictureStore | None, said: str) -> list[Any]:
    """Return what is shown after the pictures have changed."""
    own = NONE_YET
    if store is not None and len(store):
        own = tiles(store.pictures, "", "Your pictures")
    return [store, said, own, "", "", "", gr.Group(visible=False)]


def _kept(store: PictureStore | None, said: str) -> list[Any]:
    """Return what is shown where nothing has changed."""
    return [store, said, *(gr.skip() for _ in range(5))]
