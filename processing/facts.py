"""What a file says about its picture or video: when, where and with what it was taken, its title, keywords and caption.

All of it comes from the file, so any part may be missing, broken or hostile. What cannot be read is left out; only of a
date and a place it is said, since whoever filters by them wants to know what is not found.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .embedded_text import cleaned, exif_text, read_iptc, read_xmp

_IFD_EXIF, _IFD_GPS = 0x8769, 0x8825
_MAKE, _MODEL, _CHANGED = 0x010F, 0x0110, 0x0132
# Each date with the time zone that belongs to it, the most trustworthy first.
_DATES = ((0x9003, 0x9011), (0x9004, 0x9012))
_CHANGED_ZONE = 0x9010
_DATE = re.compile(
    r"([0-9]{4})[-:/.]([0-9]{1,2})[-:/.]([0-9]{1,2})"
    r"(?:[ T]+([0-9]{1,2})[:.]([0-9]{2})(?:[:.]([0-9]{2})(?:[.,][0-9]*)?)?)?\s*(Z|[+-][0-9]{2}:?[0-9]{2})?"
)
_ZONE = re.compile(r"Z|([+-])([0-9]{2}):?([0-5][0-9])")
# Kiribati is 14 hours ahead of Greenwich.
_MOST_ZONE = 15 * 60
_XMP_PLACE = re.compile(r"([0-9.]+),([0-9.]+)(?:,([0-9.]+))?([NSEW])")


@dataclass(frozen=True)
class Facts:
    """What a file says about its picture or video; None where it says nothing.

    Attributes:
        taken: When it was taken, by the clock of the place, such as `2024-06-01T18:30:00`.
        zone: How many minutes that clock is ahead of UTC.
        camera: Maker and model.
        latitude: Degrees, south negative.
        longitude: Degrees, west negative.
        title: Its title, in all languages that it is given in.
        keywords: Its keywords, separated by commas.
        caption: What it shows, as whoever published it wrote.
        writing: What is written in the picture, if that has been read: `leccr.gallery.writing`.
        unreadable: Whether it has a date or a place that cannot be read.
    """

    taken: str | None = None
    zone: int | None = None
    camera: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    title: str | None = None
    keywords: str | None = None
    caption: str | None = None
    writing: str | None = None
    unreadable: bool = False


def read_facts(value: Any) -> Facts:
    """Return what the file of a picture says about it; nothing about a file that cannot be opened.

    Args:
        value: As for `processing.images.open_image`.
    """
    # Commands that only name what is wrong with their arguments do not wait for torch.
    from .images import open_file

    try:
        with open_file(value) as picture:
            return _facts_of(picture)
    except Exception:  # Whatever it is, opening the picture itself says it.
        return Facts()


def _facts_of(picture: Any) -> Facts:
    exif: Any = _attempt(picture.getexif) or {}
    details = _attempt(lambda: exif.get_ifd(_IFD_EXIF)) or {}
    place = _attempt(lambda: exif.get_ifd(_IFD_GPS)) or {}
    xmp, iptc = read_xmp(picture), read_iptc(picture)
    taken, zone, bad_date = _first_date(_dates(exif, details, xmp, iptc))
    latitude, longitude, bad_place = _place(place, xmp)
    title, keywords, caption = exif_text(lambda tag: _value(exif, tag), lambda tag: _value(details, tag))
    return Facts(
        taken,
        zone,
        _camera(_value(exif, _MAKE), _value(exif, _MODEL)),
        latitude,
        longitude,
        cleaned([*xmp["title"], *iptc["title"], *title]),
        cleaned([*xmp["keywords"], *iptc["keywords"], *keywords], ", "),
        cleaned([*xmp["caption"], *iptc["caption"], *caption]),
        unreadable=bad_date or bad_place,
    )


def read_date(text: str) -> tuple[str | None, int | None]:
    """Return a date in one of the forms that cameras and editors write, and its zone in minutes.

    Returns:
        The date as `2024-06-01T18:30:00`, and None for each that there is not.
    """
    match = _DATE.fullmatch(text.strip(" \0\t\r\n"))
    if match is None:
        return None, None
    try:
        moment = datetime(*(int(part or 0) for part in match.groups()[:6]))  # type: ignore[arg-type]
    except ValueError:
        return None, None
    return moment.isoformat(timespec="seconds"), _zone(match[7])


def _dates(exif: Any, details: Any, xmp: Mapping[str, Sequence[str]], iptc: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each date that the file has, with the zone that is stored elsewhere, the most trustworthy first."""
    for date, zone in _DATES:
        yield _value(details, date), _value(details, zone)
    for text in (*xmp["taken"], *iptc["taken"]):
        yield text, None
    # When the file was changed, which is right where nobody edited it.
    yield _value(exif, _CHANGED), _value(details, _CHANGED_ZONE)


def _first_date(dates: Iterator[tuple[Any, Any]]) -> tuple[str | None, int | None, bool]:
    """Return the first date that can be read, its zone, and whether one before it could not be read."""
    unreadable = False
    for value, zone in dates:
        # What is after a NUL is no part of a text in EXIF data.
        text = str(value or "").partition("\0")[0].strip()
        # EXIF has blanks for a date that is not known.
        if not set(text) - set(" :-"):
            continue
        taken, own_zone = read_date(text)
        if taken is not None:
            return taken, _zone(zone) if own_zone is None else own_zone, unreadable
        unreadable = True
    return None, None, unreadable


def _zone(value: Any) -> int | None:
    match = _ZONE.fullmatch(str(value or "").strip("\0 "))
    if match is None:
        return None
    minutes = 60 * int(match[2] or 0) + int(match[3] or 0)
    return None if minutes > _MOST_ZONE else -minutes if match[1] == "-" else minutes


def _place(ifd: Any, xmp: Mapping[str, Sequence[str]]) -> tuple[float | None, float | None, bool]:
    """Return latitude, longitude, and whether there is a place that cannot be read."""
    stored = [_value(ifd, tag) for tag in (2, 4)]
    if any(value is not None for value in stored):
        latitude = _degrees(stored[0], _value(ifd, 1), "S", 90)
        longitude = _degrees(stored[1], _value(ifd, 3), "W", 180)
    elif xmp["latitude"] and xmp["longitude"]:
        latitude, longitude = _xmp_degrees(xmp["latitude"][0], 90), _xmp_degrees(xmp["longitude"][0], 180)
    else:
        return None, None, False
    if latitude is None or longitude is None:
        return None, None, True
    # Receivers that have not found their place write zeros.
    return (None, None, False) if latitude == longitude == 0 else (latitude, longitude, False)


def _degrees(value: Any, reference: Any, negative: str, most: float) -> float | None:
    parts = _attempt(lambda: [float(part) for part in value]) or []
    if len(parts) != 3:
        return None
    degrees = parts[0] + parts[1] / 60 + parts[2] / 3600
    return _within(-degrees if str(reference or "").strip("\0 ").upper() == negative else degrees, most)


def _xmp_degrees(text: str, most: float) -> float | None:
    match = _XMP_PLACE.fullmatch(text.strip())
    if match is None:
        return None
    parts = _attempt(lambda: [float(part or 0) for part in match.groups()[:3]])
    if parts is None:
        return None
    degrees = parts[0] + parts[1] / 60 + parts[2] / 3600
    return _within(-degrees if match[4] in "SW" else degrees, most)


def _within(degrees: float, most: float) -> float | None:
    return round(degrees, 6) if math.isfinite(degrees) and abs(degrees) <= most else None


def _camera(make: Any, model: Any) -> str | None:
    maker, name = cleaned([make]) or "", cleaned([model]) or ""
    # Many models begin with their maker's name.
    starts_so = maker and name.casefold().startswith(maker.casefold().split()[0])
    return (name if starts_so else f"{maker} {name}".strip()) or None


def _value(ifd: Any, tag: int) -> Any:
    """Return a value, which is decoded only now; None if that fails."""
    return _attempt(lambda: ifd.get(tag))


def _attempt(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except Exception:  # The data are anything that a file may contain.
        return None
