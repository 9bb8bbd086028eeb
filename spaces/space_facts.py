"""What a picture's file says about itself: when and where it was taken, with what, and how large it is."""

import datetime
import io
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from PIL import ExifTags
from PIL import Image as PillowImage
from space_pictures import picture_formats

LONGEST_FACT = 120
FIRST_YEAR = 1826
ZONE = re.compile(r"[+-]\d\d:\d\d", re.ASCII)
DATE = re.compile(r"(\d{4})[:-](\d\d)[:-](\d\d)[ T](\d\d):(\d\d)", re.ASCII)


def file_facts(source: Path | bytes) -> list[tuple[str, str]]:
    """Return names and values of what a picture's file says; what is damaged or missing is left out.

    Args:
        source: The file, or its content.
    """
    size, exif, details = _read(source)
    facts = [
        ("Taken", _taken(exif, details)),
        ("Camera", " ".join(dict.fromkeys(f"{_text(exif, 'Make')} {_text(exif, 'Model')}".split()))),
        ("Exposure", _exposure(details)),
        ("Place", _place(exif)),
        ("Size", f"{size[0]:,} × {size[1]:,} pixels" if size else ""),
        ("File", _bytes(source)),
    ]
    return [(name, value[:LONGEST_FACT]) for name, value in facts if value]


def year_taken(source: Path | bytes) -> int | None:
    """Return the year in which a picture was taken, if its file says so."""
    _, exif, details = _read(source)
    taken = _taken(exif, details)
    return int(taken[:4]) if taken else None


def _read(source: Path | bytes) -> tuple[tuple[int, int] | None, Any, Any]:
    """Return a picture's size, its EXIF data and the part of them about the exposure."""
    try:
        with PillowImage.open(
            io.BytesIO(source) if isinstance(source, bytes) else source, formats=picture_formats()
        ) as picture:
            exif = picture.getexif()
            # A picture on its side is wider than it is shown.
            size = picture.size[::-1] if exif.get(ExifTags.Base.Orientation) in (5, 6, 7, 8) else picture.size
            return size, exif, exif.get_ifd(ExifTags.IFD.Exif)
    except Exception:  # EXIF data and decoders that meet hostile bytes raise almost anything.
        return None, {}, {}


def _text(fields: Any, name: str) -> str:
    value = fields.get(ExifTags.Base[name])
    return "".join(filter(str.isprintable, " ".join(value.split()))) if isinstance(value, str) else ""


def _taken(exif: Any, details: Any) -> str:
    found = DATE.match(_text(details, "DateTimeOriginal") or _text(exif, "DateTime"))
    try:
        taken = None if found is None else datetime.datetime.strptime(" ".join(found.groups()), "%Y %m %d %H %M")
    except ValueError:
        taken = None
    # Cameras whose clock was never set write other years.
    if taken is None or taken.year < FIRST_YEAR:
        return ""
    zone = _text(details, "OffsetTimeOriginal")
    return f"{taken:%Y-%m-%d %H:%M}" + (f" UTC{zone}" if ZONE.fullmatch(zone) else "")


def _exposure(details: Any) -> str:
    parts = []
    # Fractions whose denominator is zero.
    with suppress(TypeError, ValueError, ZeroDivisionError, OverflowError):
        seconds = float(details.get(ExifTags.Base.ExposureTime))
        parts.append(f"1/{round(1 / seconds)} s" if seconds < 0.5 else f"{seconds:g} s")
    for name, form in (("FNumber", "f/{:g}"), ("ISOSpeedRatings", "ISO {:g}"), ("FocalLength", "{:g} mm")):
        with suppress(TypeError, ValueError, ZeroDivisionError, OverflowError):
            parts.append(form.format(float(details.get(ExifTags.Base[name]))))
    return ", ".join(parts)


def _place(exif: Any) -> str:
    with suppress(Exception):  # As above: these are the file's bytes, too.
        gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
        latitude = _degrees(gps[2], gps[1] == "S")
        longitude = _degrees(gps[4], gps[3] == "W")
        if abs(latitude) <= 90 and abs(longitude) <= 180:
            return f"{latitude:.5f}, {longitude:.5f}"
    return ""


def _degrees(parts: Any, is_negative: bool) -> float:
    degrees = sum(float(part) / 60**power for power, part in enumerate(parts))
    return -degrees if is_negative else degrees


def _bytes(source: Path | bytes) -> str:
    try:
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
    except OSError:
        return ""
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} KB"
