"""Pictures as HTML: a grid of large thumbnails, each with what the page shows when it is opened."""

from collections.abc import Sequence
from html import escape

from space_files import VIDEO_TYPES, address
from space_filters import Filters
from space_html import status
from space_search import Hit

LONGEST_ALTERNATIVE = 200
# Words in them have to occur in a picture's texts.
QUOTES = '"“„'


def tiles(
    results: Sequence[Hit],
    query: str,
    label: str,
    why: str = "",
    like: str = "",
    has_more: bool = False,
) -> str:
    """Return pictures as a list of buttons.

    Args:
        results: The pictures.
        query: What they answer, which comes back with a click; empty where nothing was asked for.
        label: What the list is, for screen readers.
        why: Id of the element that says why a picture answers, shown with the picture that is opened.
        like: Id of the picture that these are like, if they are.
        has_more: Whether there are more, which are asked for when the end of the list comes into view.
    """
    items = "".join(f'<li style="--ratio:{_ratio(hit):.3f}">{_tile(hit, bool(query or like))}</li>' for hit in results)
    more = (
        '<li class="more"><button type="button" class="chip" data-action="next">Show more</button></li>'
        if has_more
        else ""
    )
    return (
        f'<ol class="tiles" aria-label="{escape(label)}" data-query="{escape(query)}" data-like="{escape(like)}" '
        f'data-count="{len(results)}" data-why="{escape(why)}">{items}{more}</ol>'
    )


def nothing_fits(nearest: Hit) -> str:
    """Return the line for a query without an answer that is sure enough."""
    return status(f"Nothing here fits; the nearest is {nearest.name} (confidence {nearest.confidence or 0:.2f}).")


def nothing_found(query: str, filters: Filters) -> str:
    """Return the line for a query, or no query, that no picture answers at all."""
    wanted = ["passes these filters"] if filters.is_narrow else []
    if any(quote in query for quote in QUOTES):
        wanted.append("has the words in quotes")
    return status(f"No picture {' and '.join(wanted)}." if wanted else "There are no pictures here.")


def clock(seconds: float) -> str:
    """Return a time in a video, such as `1:23`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _ratio(hit: Hit) -> float:
    """Return width through height, within what a row of the grid can hold."""
    return min(max(hit.ratio, 0.5), 3.0)


def _tile(hit: Hit, is_answer: bool) -> str:
    alternative = (hit.description or f"Picture {hit.name}, without a description")[:LONGEST_ALTERNATIVE]
    data = {
        "id": hit.id,
        "name": hit.name,
        "description": hit.description or "",
        "note": _note(hit) if is_answer else "",
        **(_addresses(hit) if hit.shared else {}),
    }
    written = " ".join(f'data-{name}="{escape(value)}"' for name, value in data.items() if value)
    return (
        f'<button type="button" class="tile" data-action="open" {written} title="{escape(hit.name)}">'
        f'<img alt="{escape(alternative)}" loading="lazy" decoding="async" src="{escape(hit.picture)}">'
        f"{_badges(hit)}</button>{_marks(hit) if hit.shared else ''}"
    )


def _addresses(hit: Hit) -> dict[str, str]:
    """Return where the large picture, the file and the video are."""
    found = {"large": address(hit.id, "large"), "file": address(hit.id, "file")}
    if hit.kind == "video" and hit.name.lower().endswith(tuple(VIDEO_TYPES)):
        moment = "" if hit.start is None else f"#t={hit.start:.1f}{'' if hit.end is None else f',{hit.end:.1f}'}"
        found["video"] = address(hit.id, "video") + moment
    return found


def _note(hit: Hit) -> str:
    """Return an answer's rank, how sure it is, its moment, and what of the query its texts have, in words."""
    parts = [f"No. {hit.rank} of this search"]
    if hit.confidence is not None:
        parts.append(f"{100 * hit.confidence:.0f} % sure")
    if hit.start is not None:
        parts.append(f"at {clock(hit.start)}" + ("" if hit.end is None else f"–{clock(hit.end)}"))
    said = ", ".join(parts)
    if hit.words:
        said += f". The query's words in its texts or its name count, too: {', '.join(hit.words)}"
    if hit.alike:
        said += f". Near duplicates of it that are not shown: {hit.alike} (see Filters)"
    return said


def _badges(hit: Hit) -> str:
    badges = ""
    if hit.kind == "video":
        badges += f'<span class="badge">▶ {clock(hit.start) if hit.start is not None else "video"}</span>'
    if hit.alike:
        badges += f'<span class="badge alike">+{hit.alike} alike</span>'
    return badges


def _marks(hit: Hit) -> str:
    """Return the two buttons that choose a picture, and make it a favourite; `space.js` acts on them."""
    name, id = escape(hit.name), escape(hit.id)
    return (
        f'<button type="button" class="mark pick" data-pick="{id}" aria-pressed="false" aria-label="Select {name}">'
        f'✓</button><button type="button" class="mark heart" data-heart="{id}" aria-pressed="false" '
        f'aria-label="Favourite {name}">♥</button>'
    )
