"""What a browser would see in a piece of the page."""

from html.parser import HTMLParser

from tests.spaces.hostile import SCRIPT

BREAKOUT = f"\"'> </q></mark></bdi>{SCRIPT}"


class Tags(HTMLParser):
    """Collects tags and attributes, and checks that elements are nested and pictures are told in words."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.attributes: set[str] = set()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag == "img":
            source = dict(attrs)["src"] or ""
            assert dict(attrs)["alt"] and source.startswith(("data:image/jpeg;base64,", "pictures/"))
        else:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read(page: str) -> Tags:
    """Return what is in a piece of the page."""
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    return tags


def check_harmless(plain: str, hostile: str) -> None:
    """Check that a text that tries to break out adds neither elements nor attributes."""
    expected, found = read(plain), read(hostile)
    assert found.seen == expected.seen and "script" not in found.seen
    assert found.attributes == expected.attributes
    assert not any(attribute.startswith("on") for attribute in found.attributes)
