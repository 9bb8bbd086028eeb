"""A headless browser with the page in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = Path("/usr/bin/chromium")
# The machine may be busy.
MILLISECONDS = 300_000


@contextmanager
def browsing() -> Iterator[Any]:
    """Give a browser; skip where there is none."""
    if not CHROMIUM.exists():
        pytest.skip(f"There is no browser {CHROMIUM}: install Debian's package chromium.")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


class Visitor:
    """Someone at the page.

    Args:
        browser: The browser.
        address: The page's.
        theme: `light` or `dark`.
        width: Of the window, in pixels.
    """

    def __init__(self, browser: Any, address: str, theme: str = "light", width: int = 1280) -> None:
        self.page = browser.new_page(viewport={"width": width, "height": 850}, color_scheme=theme)
        self.page.set_default_timeout(MILLISECONDS)
        self.asked: list[str] = []
        self.problems: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.goto(f"{address}?__theme={theme}")
        self.page.wait_for_selector("#examples .chip")

    def open_tab(self, name: str) -> None:
        """Choose a tab."""
        self.page.get_by_role("tab", name=name).click()

    def ask(self, box: str, query: str, answers: str) -> list[str]:
        """Type a query, press Enter, and return the names of the answers once they are there."""
        self.page.fill(f"#{box} textarea, #{box} input", query)
        self.page.keyboard.press("Enter")
        shown = f"#{answers} .tiles"
        shortened = " ".join(query.split())
        self.page.wait_for_function(
            "([shown, query]) => document.querySelector(shown)?.dataset.query === query", arg=[shown, shortened]
        )
        return self.page.locator(f"#{answers} .tile").evaluate_all("tiles => tiles.map(tile => tile.title)")

    def upload(self, *files: dict[str, Any]) -> str:
        """Upload files, and return what the page says about them."""
        said = "#own-status .status"
        before = self.page.locator(said).all_inner_texts()
        self.page.set_input_files("#upload input[type=file], input[type=file]", list(files))
        self.page.wait_for_function(
            "([said, before]) => ![null, ...before].includes(document.querySelector(said)?.innerText ?? null)",
            arg=[said, before],
        )
        return self.page.inner_text(said)

    def text(self, selector: str) -> str:
        """Return the text of an element, once it is there."""
        self.page.wait_for_selector(selector)
        return self.page.inner_text(selector)
