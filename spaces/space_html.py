"""Lines and buttons of the page as HTML.

What is written as HTML is written here, in `space_tiles.py`, `space_why.py` and `space_comparison.py`, and each text
from outside passes through `html.escape` there.
"""

from collections.abc import Sequence
from html import escape

from space_languages import direction, language_name

# From this share of unknown tokens on, an answer is warned about.
MOSTLY_UNKNOWN = 0.5
# Clicks on anything with `data-action` reach Python; everything is a button, so the keyboard works, too.
FORWARD_CLICKS = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-action]');
  if (!button) return;
  const {query = '', like = '', count = ''} = button.closest('[data-query]')?.dataset ?? {};
  trigger('click', {action: button.dataset.action, id: button.dataset.id ?? '', query, like, count});
});
"""


def status(text: str, kind: str = "") -> str:
    """Return a line that screen readers read out; the text is escaped. `kind` may be `error`."""
    role = "alert" if kind == "error" else "status"
    return f'<p class="status {kind}" role="{role}" dir="auto">{escape(text)}</p>'


def search_status(query: str, language: str | None, total: int, unknown: float = 0.0) -> str:
    """Return the line above the results of a query, and a warning if the model does not know most of its tokens.

    Args:
        query: The query.
        language: Code of its language, if that is known.
        total: Number of pictures searched.
        unknown: Share of the query's tokens that the model does not know.
    """
    spoken = "" if language is None else f' <span class="tag">{escape(language_name(language))}</span>'
    way = direction(language or "")
    lang = f' lang="{escape(language)}"' if language else ""
    return (
        f'<p class="status" role="status">Best of {total:,} pictures for <q dir="{way}"{lang}>{escape(query)}</q>'
        f"{spoken}</p>{unreadable(unknown)}"
    )


def unreadable(unknown: float) -> str:
    """Return a warning if the model does not know half of a query's tokens or more, and nothing otherwise."""
    if unknown < MOSTLY_UNKNOWN:
        return ""
    how_much = "this query" if unknown == 1 else f"{unknown:.0%} of this query"
    return status(f"The model cannot read {how_much}: these characters are not in its vocabulary.", "error")


def empty(text: str) -> str:
    """Return what is shown where there is nothing yet; the text is escaped."""
    return f'<p class="empty">{escape(text)}</p>'


def chips(texts: Sequence[tuple[str, str]], label: str) -> str:
    """Return buttons that offer one text each, with its language; a click says which of them it was, from 0."""
    buttons = [
        f'<button type="button" class="chip" data-action="{number}">'
        f'<span class="tag">{escape(language_name(language))}</span> '
        f'<span dir="auto" lang="{escape(language)}">{escape(text)}</span></button>'
        for number, (language, text) in enumerate(texts)
    ]
    return f'<div class="chips" role="group" aria-label="{escape(label)}">{"".join(buttons)}</div>'
