"""The page in a real browser, as a visitor uses it. LECCR_SCREENSHOTS names a folder to save what it looks like."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from space_languages import SIX
from space_search_tab import SHOWN

from tests.spaces.browser import Visitor, browsing
from tests.spaces.hostile import SCRIPT, huge_png, png

LOOKS = [("light", 1280), ("dark", 390)]
if "LECCR_SCREENSHOTS" in os.environ:
    LOOKS += [("light", 390), ("dark", 1280)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsing() as found:
        yield found


def upload(path: Path) -> dict[str, Any]:
    return {"name": f"mine {path.name}", "mimeType": "image/png", "buffer": path.read_bytes()}


@pytest.mark.parametrize(("theme", "width"), LOOKS)
def test_a_visitor_searches_compares_and_brings_pictures(
    browser: Any, address: str, scenes: Path, setup: Any, captions: list[dict[str, str]], theme: str, width: int
) -> None:
    visitor = Visitor(browser, address, theme, width)
    page = visitor.page
    picture(visitor, f"{theme}-{width}-0-start")

    names = visitor.ask("query", captions[5]["de"], "results")
    assert names == best(setup, captions[5]["de"])
    assert "German, detected" in visitor.text("#search-status")
    page.locator("#results .tile").first.click()
    why = visitor.text("#why section")
    assert f"Why {names[0]} answers" in why and "% of the score" in why and "answered" in why
    assert page.locator("#why mark").count() > 10 and page.locator("#why .slots img").count() == 2
    picture(visitor, f"{theme}-{width}-1-search")
    page.click("#why [data-action=more]")
    page.wait_for_selector("[aria-label='Pictures like the one chosen']")
    assert page.locator(f"#results [title='{names[0]}']").count() == 0

    visitor.open_tab("Compare languages")
    assert page.input_value("#idea-fr textarea") == captions[0]["fr"]
    page.click("#another")
    page.wait_for_function("text => document.querySelector('#idea-ja textarea').value === text", arg=captions[1]["ja"])
    page.click("#compare")
    page.wait_for_selector("#comparison table")
    first = page.locator("#comparison .columns .tiles").evaluate_all(
        "all => all.map(e => e.querySelector('.tile').title)"
    )
    assert first == [best(setup, captions[1][code])[0] for code in SIX]
    assert page.locator("#comparison td[style]").count() == 36
    picture(visitor, f"{theme}-{width}-2-compare")

    visitor.open_tab("Your own pictures")
    said = visitor.upload(*(upload(scenes / "gallery" / name) for name in ("07.png", "11.png")))
    assert "2 added" in said
    assert sorted(visitor.ask("own-query", captions[11]["fr"], "own-results")) == ["mine 07.png", "mine 11.png"]
    assert "French, detected" in visitor.text("#own-said")
    page.locator("#own-results .tile").first.click()
    assert "no description" in visitor.text("#own-why section")
    picture(visitor, f"{theme}-{width}-3-own")

    visitor.open_tab("About")
    assert "Languages" in visitor.text("#about")
    page.wait_for_selector("#snippet .cm-content")
    assert "gradio_client" in page.inner_text("#snippet")
    picture(visitor, f"{theme}-{width}-4-about")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert visitor.problems == [] and [url for url in visitor.asked if not url.startswith((address, "data:"))] == []
    page.close()


def best(setup: Any, query: str) -> list[str]:
    """Return the names of what the searcher itself finds, so that the test depends on the page and not the model."""
    return [hit.name for hit in setup.ready.searcher.search(query, SHOWN)]


def picture(visitor: Visitor, name: str) -> None:
    """Save what the page looks like, where somebody wants to see it."""
    if folder := os.environ.get("LECCR_SCREENSHOTS"):
        visitor.page.wait_for_timeout(300)
        visitor.page.screenshot(path=Path(folder, f"{name}.png"), full_page=True)


def test_everything_works_with_the_keyboard(browser: Any, address: str, captions: list[dict[str, str]]) -> None:
    visitor = Visitor(browser, address)
    page = visitor.page
    page.focus("#examples .chip:nth-child(3)")
    page.keyboard.press("Enter")
    page.wait_for_selector("#results .tile")
    assert page.input_value("#query textarea, #query input") == captions[2]["fr"]
    page.focus("#results .tile")
    page.keyboard.press("Space")
    page.wait_for_selector("#why section")
    assert page.locator("img:not([alt]), img[alt='']").count() == 0
    assert set(page.locator("textarea, input[type=text]").evaluate_all("all => all.map(e => e.dir)")) == {"auto"}
    page.close()


def test_attacks_are_refused_or_shown_harmlessly(
    browser: Any, address: str, scenes: Path, setup: Any, captions: list[dict[str, str]]
) -> None:
    visitor = Visitor(browser, address)
    page = visitor.page
    title = page.title()
    visitor.ask("query", SCRIPT, "results")
    assert SCRIPT in visitor.text("#search-status")
    page.locator("#results .tile").first.click()
    assert "<script>" in visitor.text("#why section")
    # The box cuts what is typed; what is sent past it is refused.
    page.evaluate("document.querySelector('#query textarea, #query input').removeAttribute('maxlength')")
    page.fill("#query textarea, #query input", "x" * 20_000)
    page.keyboard.press("Enter")
    page.wait_for_selector("#search-status .error")
    assert "the most is 500" in visitor.text("#search-status")

    visitor.open_tab("Your own pictures")
    name = "<img src=x onerror=\"document.title='taken'\">.png"
    hostile = [
        {"name": name, "mimeType": "image/png", "buffer": png()},
        {"name": "bomb.png", "mimeType": "image/png", "buffer": huge_png()},
        {"name": "text.jpg", "mimeType": "image/jpeg", "buffer": b"This is not a photo."},
    ]
    said = visitor.upload(*hostile)
    assert "1 added" in said and "million pixels" in said and "not a picture that can be read" in said
    page.locator("#own .tile").first.click()
    page.wait_for_selector("#own-description textarea", state="visible")
    page.fill("#own-description textarea", SCRIPT)
    page.click("#own-save")
    page.wait_for_function("document.querySelector('#own .tile img')?.alt.includes('<script>')")
    twenty = [{"name": f"{at}.png", "mimeType": "image/png", "buffer": png("blue")} for at in range(20)]
    said = visitor.upload(*twenty)
    assert "19 added. You have 20 of at most 20" in said and "room for 20" in said
    assert len(visitor.ask("own-query", SCRIPT, "own-results")) == 20
    page.locator("#own-results .tile").first.click()
    page.wait_for_selector("#own-why section")
    too_large = {"name": name, "mimeType": "image/png", "buffer": b"\0" * (11 * 1024 * 1024)}
    page.set_input_files("#upload input[type=file], input[type=file]", [too_large])
    page.wait_for_selector("text=maximum allowed size")

    assert page.title() == title and visitor.problems == []
    assert page.locator("script:has-text('taken'), img[onerror]").count() == 0
    other = Visitor(browser, address)
    assert other.ask("query", captions[4]["cs"], "results") == best(setup, captions[4]["cs"])
    other.open_tab("Your own pictures")
    assert other.page.locator("#own .tile").count() == 0
    other.page.close()
    page.close()
