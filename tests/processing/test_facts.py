"""What cameras, phones and editors write into files, and what becomes of it when it is broken."""

import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage
from PIL.PngImagePlugin import PngInfo

from processing.facts import Facts, read_date, read_facts
from tests.odd_pictures import ODD_ENTRIES
from tests.odd_pictures import exif as odd_exif

EXIF, GPS = 0x8769, 0x8825
ORIGINAL, DIGITIZED, CHANGED, ZONE = 0x9003, 0x9004, 0x0132, 0x9011


def written(kind: str = "JPEG", tags: dict[int, Any] | None = None, **options: Any) -> bytes:
    """Return the file of a picture; tags of directories are given as dictionaries."""
    exif = PillowImage.Exif()
    for tag, value in (tags or {}).items():
        if isinstance(value, dict):
            exif.get_ifd(tag).update(value)
            # The writer of TIFF looks at the main directory only.
            exif[tag] = 0
        else:
            exif[tag] = value
    stream = io.BytesIO()
    PillowImage.new("RGB", (8, 8), "teal").save(stream, kind, **({"exif": exif} if tags else {}), **options)
    return stream.getvalue()


def facts_of(kind: str = "JPEG", tags: dict[int, Any] | None = None, **options: Any) -> Facts:
    return read_facts({"bytes": written(kind, tags, **options), "path": None})


PHOTO = {
    0x010F: "Canon",
    0x0110: "Canon EOS 5D",
    0x010E: "Der Hund am Strand",
    EXIF: {ORIGINAL: "2024:06:01 18:30:05", ZONE: "+02:00"},
    GPS: {1: "N", 2: (48.0, 8.0, 15.0), 3: "W", 4: (11.0, 34.0, 30.0)},
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_when_where_and_with_what(kind: str) -> None:
    found = facts_of(kind, PHOTO)
    assert (found.taken, found.zone, found.camera) == ("2024-06-01T18:30:05", 120, "Canon EOS 5D")
    assert (found.latitude, found.longitude, found.unreadable) == (48.1375, -11.575, False)
    assert found.caption == "Der Hund am Strand"


def test_a_picture_without_any(tmp_path: Path) -> None:
    assert facts_of() == Facts()
    assert read_facts(str(tmp_path / "none.jpg")) == Facts()
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    assert read_facts({"path": str(tmp_path / "broken.jpg"), "bytes": None}) == Facts()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024:06:01 18:30:05", ("2024-06-01T18:30:05", None)),
        ("2024:06:01 18:30:05\0", ("2024-06-01T18:30:05", None)),
        ("2024-06-01T18:30:05.123+02:00", ("2024-06-01T18:30:05", 120)),
        ("2024-06-01T18:30-0330", ("2024-06-01T18:30:00", -210)),
        ("2024/6/1", ("2024-06-01T00:00:00", None)),
        ("2024:06:01 18:30:05Z", ("2024-06-01T18:30:05", 0)),
        ("2024-06-01T18:30:05+99:00", ("2024-06-01T18:30:05", None)),
        ("0000:00:00 00:00:00", (None, None)),
        ("2023:02:29 10:00:00", (None, None)),
        ("2024:06:01 25:00:00", (None, None)),
        ("yesterday", (None, None)),
        ("", (None, None)),
    ],
)
def test_dates(text: str, expected: tuple[str | None, int | None]) -> None:
    assert read_date(text) == expected


@given(st.text())
def test_any_text_is_a_date_or_none(text: str) -> None:
    taken, zone = read_date(text)
    assert (taken is None or len(taken) == 19) and (zone is None or taken is not None)


@pytest.mark.parametrize("text", ["0000:00:00 00:00:00", "2024:13:45 99:99:99", "\xff\xfe", "soon"])
def test_a_date_that_is_none_is_told(text: str) -> None:
    found = facts_of(tags={EXIF: {ORIGINAL: text}})
    assert (found.taken, found.unreadable) == (None, True)
    found = facts_of(tags={EXIF: {ORIGINAL: text, DIGITIZED: "2024:06:01 18:30:05"}})
    assert (found.taken, found.unreadable) == ("2024-06-01T18:30:05", True)


def test_a_date_that_is_not_known_is_not_told() -> None:
    assert facts_of(tags={EXIF: {ORIGINAL: "    :  :     :  :  "}}) == Facts()


def test_the_date_of_a_change_counts_only_without_another() -> None:
    tags = {CHANGED: "2025:01:01 00:00:00"}
    assert facts_of(tags=tags).taken == "2025-01-01T00:00:00"
    assert facts_of(tags={**tags, EXIF: {ORIGINAL: "2024:06:01 18:30:05"}}).taken == "2024-06-01T18:30:05"


@pytest.mark.parametrize(
    ("place", "unreadable"),
    [
        ({1: "N", 2: (0.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0)}, False),
        ({1: "N", 2: (148.0, 0.0, 0.0), 3: "E", 4: (11.0, 0.0, 0.0)}, True),
        ({1: "N", 2: (48.0, 0.0, 0.0)}, True),
        ({1: "N"}, False),
    ],
)
def test_a_place_that_is_none(place: dict[int, Any], unreadable: bool) -> None:
    found = facts_of(tags={GPS: place})
    assert (found.latitude, found.longitude, found.unreadable) == (None, None, unreadable)


@pytest.mark.parametrize("entry", ODD_ENTRIES.values(), ids=list(ODD_ENTRIES))
def test_odd_exif_data_spoil_nothing(entry: tuple[int, int, int, bytes]) -> None:
    found = facts_of(exif=odd_exif([entry]))
    assert found.taken is None


XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:exif="http://ns.adobe.com/exif/1.0/"
 xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" photoshop:DateCreated="2023-05-04T03:02:01+09:00"
 exif:GPSLatitude="48,8.25N" exif:GPSLongitude="11,34,30W">
<dc:title><rdf:Alt><rdf:li xml:lang="x-default">Snow</rdf:li><rdf:li xml:lang="zh">雪地</rdf:li></rdf:Alt></dc:title>
<dc:subject><rdf:Bag><rdf:li>dog</rdf:li><rdf:li>Schäferhund</rdf:li></rdf:Bag></dc:subject>
<dc:description><rdf:Alt><rdf:li>A dog\n in  the snow</rdf:li></rdf:Alt></dc:description>
</rdf:Description></rdf:RDF></x:xmpmeta>"""


def png_with_xmp() -> dict[str, Any]:
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", XMP)
    return {"pnginfo": info}


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "PNG"])
def test_xmp(kind: str) -> None:
    found = facts_of(kind, **(png_with_xmp() if kind == "PNG" else {"xmp": XMP.encode()}))
    assert (found.title, found.keywords) == ("Snow · 雪地", "dog, Schäferhund")
    assert found.caption == "A dog in the snow"
    assert (found.taken, found.zone) == ("2023-05-04T03:02:01", 540)
    assert (found.latitude, found.longitude) == (48.1375, -11.575)


def test_what_a_png_has_after_its_pixels() -> None:
    """Where editors put it."""
    content = written("PNG", **png_with_xmp())
    start = content.index(b"iTXt") - 4
    end = content.index(b"IDAT") - 4
    moved = content[:start] + content[end:-12] + content[start:end] + content[-12:]
    assert read_facts({"bytes": moved, "path": None}).title == "Snow · 雪地"
    assert read_facts({"bytes": moved[:-20], "path": None}) is not None


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>' + XMP.replace("Snow", "&b;")


@pytest.mark.parametrize("text", ["<x:xmpmeta", BOMB, "\0" * 100, XMP[:300], "\x1b[2J"])
def test_broken_xmp_is_none(text: str) -> None:
    assert facts_of(xmp=text.encode()) == Facts()


def test_values_of_xmp_are_only_where_they_belong() -> None:
    """Looking for them anywhere below would take for ever where elements are nested."""
    nested = f"{'<dc:title>' * 20_000}<x><rdf:Alt><rdf:li>lost</rdf:li></rdf:Alt></x>{'</dc:title>' * 20_000}"
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", XMP.replace("<dc:subject>", f"{nested}<dc:subject>"))
    assert facts_of("PNG", pnginfo=info).title == "Snow · 雪地"


def iptc(*records: tuple[int, bytes]) -> bytes:
    """Return a segment of a JPEG with IPTC records of the second part."""
    data = b"".join(b"\x1c\x02" + bytes([number]) + len(text).to_bytes(2, "big") + text for number, text in records)
    block = b"8BIM\x04\x04\0\0" + len(data).to_bytes(4, "big") + data + b"\0" * (len(data) % 2)
    content = b"Photoshop 3.0\0" + block
    return b"\xff\xed" + (len(content) + 2).to_bytes(2, "big") + content


def test_iptc() -> None:
    records = [(5, "Käse".encode()), (25, b"cheese"), (25, "Käse".encode("latin-1")), (120, b"On a table")]
    picture = written()
    content = picture[:2] + iptc(*records, (55, b"20240601"), (60, b"183005+0200")) + picture[2:]
    found = read_facts({"bytes": content, "path": None})
    assert (found.title, found.keywords, found.caption) == ("Käse", "cheese, Käse", "On a table")
    assert (found.taken, found.zone) == ("2024-06-01T18:30:05", 120)


def test_what_windows_writes() -> None:
    title, keywords = ("Strand".encode("utf-16-le") + b"\0\0", "Hund;Meer".encode("utf-16-le") + b"\0\0")
    found = facts_of(tags={0x9C9B: title, 0x9C9E: keywords})
    assert (found.title, found.keywords) == ("Strand", "Hund, Meer")


def test_text_is_short_and_cannot_steer_a_terminal() -> None:
    found = facts_of(tags={0x010E: "\x1b[2Jred " + "x" * 10_000})
    assert found.caption is not None and found.caption.startswith("[2Jred x") and len(found.caption) == 2000


@given(st.binary(max_size=200), st.integers(0, 600))
@settings(max_examples=25, deadline=None)
def test_any_bytes_are_facts_or_none(noise: bytes, position: int) -> None:
    content = written("JPEG", PHOTO, xmp=XMP.encode())
    assert isinstance(read_facts({"bytes": content[:position] + noise + content[position:], "path": None}), Facts)
