"""The page in a real browser, as a visitor uses it. LECCR_SCREENSHOTS names a folder to save what it looks like."""

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from space_languages import SIX
from space_search_tab import PAGE

from tests.spaces.browser import Visitor, browsing
from tests.spaces.hostile import SCRIPT, huge_png, png

AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js")
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
    assert page.locator("#results .tile").count() == 24
    page.wait_for_function("() => document.querySelector('#results img').naturalWidth === 400")
    picture(visitor, f"{theme}-{width}-0-start")
    check_accessible(page)

    names = visitor.ask("query", captions[5]["de"], "results")
    assert names == best(setup, captions[5]["de"])
    assert "German" in visitor.text("#search-status")
    page.locator("#results .tile").first.click()
    why = visitor.text(".viewer .why")
    assert f"Why it answers {captions[5]['de']}" in why and "% of the score" in why and "which answered" in why
    assert page.locator(".viewer .why mark").count() > 10 and page.locator(".viewer .slots img").count() == 2
    assert names[0] in visitor.text(".viewer .path")
    picture(visitor, f"{theme}-{width}-1-viewer")
    check_accessible(page)
    page.click(".viewer .following")
    page.wait_for_function("name => document.querySelector('.viewer .path').innerText === name", arg=names[1])
    page.wait_for_selector(".viewer .reason:not(.waiting)")
    assert page.is_visible(".viewer .why h3")
    page.click(".viewer [data-action=like]")
    page.wait_for_selector("[aria-label='Pictures like the one chosen']")
    assert page.locator(f"#results [title='{names[1]}']").count() == 0 and not page.is_visible(".viewer")

    visitor.open_tab("Compare languages")
    assert page.input_value("#idea-2 textarea") == captions[0]["fr"]
    page.click("#another")
    page.wait_for_function("text => document.querySelector('#idea-5 textarea').value === text", arg=captions[1]["ja"])
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
    assert "French" in visitor.text("#own-said")
    page.locator("#own-results .tile").first.click()
    assert "no description" in visitor.text(".viewer .why")
    picture(visitor, f"{theme}-{width}-3-own")
    page.keyboard.press("Escape")
    check_accessible(page)

    visitor.open_tab("About")
    assert "Languages" in visitor.text("#about")
    assert "gradio_client" in visitor.text("#snippet pre")
    picture(visitor, f"{theme}-{width}-4-about")
    check_accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert visitor.problems == [] and [url for url in visitor.asked if not url.startswith((address, "data:"))] == []
    page.close()


def check_accessible(page: Any) -> None:
    """Check that axe-core finds no serious fault in what is shown."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    serious = [fault for fault in found if fault["impact"] in ("serious", "critical")]
    assert [(fault["id"], [node["target"] for node in fault["nodes"]]) for fault in serious] == []


def best(setup: Any, query: str) -> list[str]:
    """Return the names of what the searcher itself finds, so that the test depends on the page and not the model."""
    return [hit.name for hit in setup.ready.searcher.search(query, PAGE)]


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
    page.wait_for_function(
        "query => document.querySelector('#results .tiles').dataset.query === query", arg=captions[2]["fr"]
    )
    assert page.input_value("#query textarea, #query input") == captions[2]["fr"]
    names = page.locator("#results .tile").evaluate_all("tiles => tiles.map(tile => tile.title)")
    page.focus("#results .tile")
    for key in ("ArrowRight", "ArrowDown", "ArrowUp", "f", "x", "End", "Home", "ArrowRight"):
        page.keyboard.press(key)
    assert page.evaluate("document.activeElement.title") == names[1]
    assert "1 selected" in visitor.text("#marks") and "Favourites (1)" in visitor.text("#marks")
    page.keyboard.press("Enter")
    page.wait_for_selector(".viewer .why h3")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("name => document.querySelector('.viewer .path').innerText === name", arg=names[2])
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.title") == names[2]
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.closest('#query') !== null")
    with page.expect_download() as saved:
        page.click("#marks a")
    with zipfile.ZipFile(saved.value.path()) as archive:
        assert archive.namelist() == [names[1]]
    page.reload()
    page.wait_for_selector("#marks .marks:not([hidden])")
    # What the page starts with would take the favourites' place.
    page.wait_for_selector("#results .tile")
    page.click("#marks [data-action=favourites]")
    page.wait_for_selector("[aria-label=Favourites]")
    assert page.locator("#results .tile").evaluate_all("tiles => tiles.map(tile => tile.title)") == [names[1]]
    assert page.locator("#results img:not([alt]), #results img[alt='']").count() == 0
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
    assert "<script>" in visitor.text(".viewer .why h3")
    page.keyboard.press("Escape")
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
    page.wait_for_selector(".viewer .why h3")
    page.keyboard.press("Escape")
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
