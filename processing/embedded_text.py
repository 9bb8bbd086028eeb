"""Titles, keywords and captions that are embedded in a picture's file: XMP, IPTC and EXIF."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from xml.etree import ElementTree

from PIL import IptcImagePlugin

LONGEST = 2000
_MOST_XMP = 4_000_000
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_DC = "{http://purl.org/dc/elements/1.1/}"
_PHOTOSHOP = "{http://ns.adobe.com/photoshop/1.0/}"
_EXIF = "{http://ns.adobe.com/exif/1.0/}"
_BASIC = "{http://ns.adobe.com/xap/1.0/}"
_XMP_NAMES = {
    "title": (f"{_DC}title", f"{_PHOTOSHOP}Headline"),
    "keywords": (f"{_DC}subject",),
    "caption": (f"{_DC}description",),
    "taken": (f"{_EXIF}DateTimeOriginal", f"{_PHOTOSHOP}DateCreated", f"{_BASIC}CreateDate"),
    "latitude": (f"{_EXIF}GPSLatitude",),
    "longitude": (f"{_EXIF}GPSLongitude",),
}
_IPTC_NAMES = {"title": (5, 105), "keywords": (25,), "caption": (120,)}
_IPTC_DATE, _IPTC_TIME = (2, 55), (2, 60)
_IMAGE_DESCRIPTION, _USER_COMMENT = 0x010E, 0x9286
_XP_TITLE, _XP_COMMENT, _XP_KEYWORDS = 0x9C9B, 0x9C9C, 0x9C9E
_COMMENT_CODES = {b"ASCII\0\0\0": "ascii", b"UNICODE\0": "utf-16"}
_PNG_XMP = "XML:com.adobe.xmp"
_DECLARATION = re.compile(r"<!(DOCTYPE|ENTITY)", re.IGNORECASE)
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]+")


def cleaned(texts: Iterable[Any], separator: str = " · ") -> str | None:
    """Return texts joined, each once, on one line and not endlessly long; None if nothing is left."""
    kept: dict[str, None] = {}
    for text in texts:
        line = " ".join(_UNPRINTABLE.sub(" ", _as_text(text)).split())
        if line:
            kept[line] = None
    return separator.join(kept)[:LONGEST].strip() or None


def read_xmp(picture: Any) -> Mapping[str, list[str]]:
    """Return the texts of an opened picture's XMP by kind; empty lists where it has none."""
    found: dict[str, list[str]] = {kind: [] for kind in _XMP_NAMES}
    content = picture.info.get("xmp") or picture.info.get(_PNG_XMP) or _tiff_xmp(picture)
    text = _as_text(content)[:_MOST_XMP].strip("\0 \r\n\t\ufeff") if content else ""
    # Entities can be made to grow without end, and XMP has none.
    if not text or _DECLARATION.search(text):
        return found
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError):
        return found
    for kind, names in _XMP_NAMES.items():
        found[kind] = [text for name in names for text in _xmp_values(root, name)]
    return found


def _tiff_xmp(picture: Any) -> Any:
    return getattr(picture, "tag_v2", {}).get(700)


def _xmp_values(root: ElementTree.Element, name: str) -> Iterator[str]:
    """Yield the values of a property, which is an attribute, an element with text, or a list."""
    for description in root.iter(f"{_RDF}Description"):
        yield from filter(None, [description.get(name)])
    for element in root.iter(name):
        # Only where lists have them: looking anywhere below takes for ever where elements are nested.
        items = [item.text for item in element.findall(f"./*/{_RDF}li")]
        yield from filter(None, items or [element.text])


def read_iptc(picture: Any) -> Mapping[str, list[str]]:
    """Return the texts of an opened picture's IPTC records by kind; empty lists where it has none."""
    found: dict[str, list[str]] = {kind: [] for kind in (*_IPTC_NAMES, "taken")}
    try:
        records = IptcImagePlugin.getiptcinfo(picture) or {}
        for kind, numbers in _IPTC_NAMES.items():
            found[kind] = [_as_text(part) for number in numbers for part in _parts(records.get((2, number)))]
        date, time = (_as_text((_parts(records.get(key)) or [b""])[0]) for key in (_IPTC_DATE, _IPTC_TIME))
        if len(date) == 8:
            clock = f" {time[:2]}:{time[2:4]}:{time[4:6]}{time[6:]}" if len(time) >= 6 else ""
            found["taken"] = [f"{date[:4]}-{date[4:6]}-{date[6:]}{clock}"]
    except Exception:  # The records are anything that a file may contain.
        pass
    return found


def exif_text(value: Callable[[int], Any], detail: Callable[[int], Any]) -> tuple[list[Any], list[Any], list[Any]]:
    """Return the titles, keywords and captions that Windows and cameras write into EXIF data.

    Args:
        value: Returns the value of a tag of the main directory.
        detail: Returns the value of a tag of the EXIF directory.
    """
    keywords = _windows(value(_XP_KEYWORDS)).split(";")
    captions = [value(_IMAGE_DESCRIPTION), _windows(value(_XP_COMMENT)), _comment(detail(_USER_COMMENT))]
    return [_windows(value(_XP_TITLE))], list(keywords), captions


def _windows(value: Any) -> str:
    content = bytes(value) if isinstance(value, (bytes, tuple)) and all(_is_byte(part) for part in value) else b""
    return content.decode("utf-16-le", "ignore").strip("\0")


def _is_byte(value: Any) -> bool:
    return isinstance(value, int) and 0 <= value < 256


def _comment(value: Any) -> str:
    if not isinstance(value, bytes):
        return _as_text(value)
    return value[8:].decode(_COMMENT_CODES.get(value[:8], "utf-8"), "ignore")


def _parts(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _as_text(value: Any) -> str:
    """Return bytes, or a text that was decoded as Latin-1, as what it most probably is: UTF-8."""
    if isinstance(value, str):
        try:
            return value.encode("latin-1").decode("utf-8")
        except UnicodeError:
            return value
    if isinstance(value, (bytes, bytearray)):
        try:
            return bytes(value).decode("utf-8")
        except UnicodeError:
            return bytes(value).decode("latin-1")
    return ""
