"""The page: its tabs, what fills them once everything is ready, and how it is served."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import space_html
from space_about import about, program
from space_api import add_api
from space_compare_tab import CompareTab
from space_files import picture_routes
from space_first_run import FirstRun
from space_own_tab import OwnTab
from space_search_tab import MODEL_LIMITS, SearchTab
from space_setup import Setup
from space_uploads import MOST_BYTES

# Where a page keeps the routes of its pictures until it is served.
ROUTES = "picture_routes"

TITLE = "Search pictures in your language"
SECONDS_BETWEEN_LOOKS = 2.0


def build_page(setup: Setup) -> gr.Blocks:
    """Return the page for what is, or will be, ready."""
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(600, 1800)) as page:
        gr.Markdown(f"# {TITLE}")
        banner = gr.HTML(elem_id="banner")
        first_run = FirstRun(setup)
        with gr.Tabs(overflow_behavior="wrap"):
            with gr.Tab("Search"):
                search = SearchTab(setup)
            with gr.Tab("Compare languages"):
                compare = CompareTab(setup)
            with gr.Tab("Your own pictures"):
                OwnTab(setup, page)
            with gr.Tab("About"):
                described = gr.Markdown(elem_id="about")
                code = gr.HTML(elem_id="snippet")
        add_api(setup, MODEL_LIMITS)
        timer = gr.Timer(SECONDS_BETWEEN_LOOKS)

        def fill(request: gr.Request) -> list[Any]:
            """Fill the page as soon as everything is ready; until then, say what is going on."""
            if not setup.is_ready:
                said = space_html.status(setup.status, "error" if setup.failed else "busy")
                if setup.is_waiting:
                    said = ""
                waiting = [gr.skip() for _ in range(len(outputs) - 3)]
                return [said, gr.Column(visible=setup.is_waiting), *waiting, gr.Timer(active=not setup.failed)]
            ready = setup.ready
            example = next((text for idea in ready.ideas for text in idea.values()), "your query")
            filled = [*search.fill(ready), *compare.fill(ready), about(ready), program(_address(request), example)]
            return ["", gr.Column(visible=False), *filled, gr.Timer(active=False)]

        outputs = [banner, first_run.box, *search.outputs, *compare.outputs, described, code, timer]
        looks: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": 8}
        page.load(fill, None, outputs, **looks)
        page.load(first_run.show, None, first_run.listing, **looks)
        timer.tick(fill, None, outputs, **looks)
    vars(page)[ROUTES] = picture_routes(setup)
    # Beyond 64 waiting requests, a visitor is told to come back, and not left to wait for minutes.
    return page.queue(max_size=64, default_concurrency_limit=4)


def _address(request: gr.Request) -> str:
    """Return what the page's code calls this app: the Space's name, or the address that the browser uses."""
    browser = request.request
    return os.environ.get("SPACE_ID") or (str(browser.base_url) if browser is not None else "")


def serve(page: gr.Blocks, then: Callable[[], object] | None = None, **options: Any) -> tuple[Any, str, str]:
    """Serve the page with the limits and the looks that it needs, until it is stopped.

    Args:
        page: What `build_page` returned.
        then: Called as soon as the page is served, so that heavy work does not delay that.
        **options: Of `launch`, such as `server_port`; with `prevent_thread_lock` this returns immediately.

    Returns:
        What `launch` returns: the app, its local address, and its public one.
    """
    wait = not options.pop("prevent_thread_lock", False)
    defaults: dict[str, Any] = {
        "max_file_size": MOST_BYTES,
        "state_session_capacity": 256,
        "ssr_mode": False,
        "enable_monitoring": False,
        "run_history": False,
        "footer_links": [],
        "theme": _theme(),
        "css_paths": Path(__file__).with_name("space.css"),
        "head": f"<script>{Path(__file__).with_name('space.js').read_text(encoding='utf-8')}</script>",
        # It would print how programs call `launch`, which no visitor does.
        "quiet": True,
        # Gradio's own check gives up, and the app with it, when a busy machine takes three seconds for the first page.
        "_frontend": False,
    }
    served = page.launch(**{**defaults, **options, "prevent_thread_lock": True})
    # Before Gradio's own routes, one of which takes every address.
    served[0].router.routes[:0] = vars(page)[ROUTES]
    if then is not None:
        then()
    if wait:
        # Seen at once, also where the output goes to a file.
        print(f"The page is at {served[1]}. Ctrl-C ends it.", flush=True)
        # Gradio's `block_thread` hides Ctrl-C from the caller, and waits seconds for open connections.
        while page.is_running:
            time.sleep(0.1)
    return served


def _theme() -> Any:
    fonts = ["system-ui", "-apple-system", "Segoe UI", "Noto Sans", "sans-serif"]
    theme: Any = gr.themes.Default(primary_hue="teal", font=fonts, font_mono=["ui-monospace", "Consolas", "monospace"])
    # Gradio's own shades leave too little contrast for white letters, and for coloured ones on white.
    return theme.set(
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_hover_dark="*primary_800",
        color_accent="*primary_700",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
    )
