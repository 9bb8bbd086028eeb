"""The answers in several languages side by side, as HTML."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from space_html import MOSTLY_UNKNOWN, unreadable
from space_languages import language_name
from space_search import Hit
from space_tiles import tiles

SHOWN = 4


@dataclass(frozen=True)
class Column:
    """The answers in one language.

    Attributes:
        query: What was asked.
        hits: The answers, best first.
        unknown: Share of the query's tokens that the model does not know.
    """

    query: str
    hits: Sequence[Hit]
    unknown: float = 0.0

    @property
    def is_read(self) -> bool:
        """Whether the model can read the query; otherwise what it finds says nothing about the language."""
        return self.unknown < MOSTLY_UNKNOWN


def comparison(columns: Mapping[str, Column], top: int, why: str = "") -> str:
    """Return the answers, with the overlap of the top results of those languages that the model reads.

    Args:
        columns: The answers by language.
        top: How many of each list are compared.
        why: As for `tiles`.
    """
    ids = {code: {hit.id for hit in column.hits[:top]} for code, column in columns.items() if column.is_read}
    first = next(iter(ids), None)
    parts = []
    for code, column in columns.items():
        said = unreadable(column.unknown)
        if code in ids and code != first and first is not None:
            shared = len(ids[first] & ids[code])
            said = f'<p class="note">{shared} of {len(ids[first])} as in {escape(language_name(first))}</p>'
        name = escape(language_name(code))
        label = f"Answers in {language_name(code)}"
        parts.append(
            f'<section aria-label="{name}"><h2>{name}</h2><p dir="auto" lang="{escape(code)}">{escape(column.query)}'
            f"</p>{said}{tiles(column.hits[:SHOWN], column.query, label, why) if column.is_read else ''}</section>"
        )
    return f'{_overlap(ids, top) if len(ids) > 1 else ""}<div class="columns">{"".join(parts)}</div>'


def _overlap(ids: Mapping[str, set[str]], top: int) -> str:
    head = "".join(
        f'<th scope="col"><abbr title="{escape(language_name(code))}">{escape(code)}</abbr></th>' for code in ids
    )
    rows = ""
    for code, own in ids.items():
        counts = [len(own & others) for others in ids.values()]
        cells = "".join(f'<td style="--weight:{count / max(top, 1):.2f}">{count}</td>' for count in counts)
        rows += f'<tr><th scope="row">{escape(language_name(code))}</th>{cells}</tr>'
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="Shared pictures"><table>'
        f"<caption>How many of the first {top} pictures two languages share</caption>"
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )
