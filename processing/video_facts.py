"""What the file of a video says about it: when and where it was taken, and with what."""

import re
from typing import Any

from .embedded_text import cleaned
from .facts import Facts, read_date
from .names import stored_path

_APPLE = "com.apple.quicktime."
# Degrees as cameras write them: +48.1375-011.5750+500.000/
_PLACE = re.compile(r"([+-][0-9]{2}(?:\.[0-9]+)?)([+-][0-9]{3}(?:\.[0-9]+)?)(?:[+-].*)?/?")


def read_video_facts(path: Any) -> Facts:
    """Return what the file of a video says about it; nothing about one that cannot be opened."""
    try:
        import av

        # A playlist that is named like a video must not fetch anything from the network.
        only_files = {"protocol_whitelist": "file"}
        with av.open(str(stored_path(path).absolute()), options=only_files, metadata_errors="replace") as container:
            return facts_of_tags(dict(container.metadata))
    except Exception:  # Whatever it is, opening the video itself says it.
        return Facts()


def facts_of_tags(tags: dict[str, str]) -> Facts:
    """Return what the tags of a video's container say."""
    # Phones write the time with its zone; what all others write is in UTC.
    date = tags.get(f"{_APPLE}creationdate") or tags.get("creation_time") or tags.get("date") or ""
    taken, zone = read_date(date)
    place = _PLACE.fullmatch((tags.get(f"{_APPLE}location.ISO6709") or tags.get("location") or "").strip())
    camera = [tags.get(f"{_APPLE}make"), tags.get(f"{_APPLE}model")]
    return Facts(
        taken,
        zone,
        cleaned(camera, " "),
        float(place[1]) if place and abs(float(place[1])) <= 90 else None,
        float(place[2]) if place and abs(float(place[2])) <= 180 else None,
        cleaned([tags.get("title")]),
        cleaned([tags.get(f"{_APPLE}keywords"), tags.get("keywords")], ", "),
        cleaned([tags.get("description"), tags.get("comment")]),
        unreadable=bool(date.strip()) and taken is None,
    )
