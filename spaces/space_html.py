"""Everything on the page that is written as HTML. Each text from outside passes through `html.escape` here."""

import base64
from collections.abc import Mapping, Sequence
from html import escape

from space_explain import Explanation, SlotPart
from space_languages import direction, language_name
from space_search import Hit

WHAT_A_SCORE_IS = (
    "The score says how well a picture fits the query: higher is better. It only ranks the pictures of one search and "
    "is not a probability."
)
WHAT_CONFIDENCE_IS = "The percentage says how sure the answer is."
WHAT_A_SLOT_IS = (
    "The model divides what a picture and its description show into a few parts, called <em>slots</em>. A score counts "
    "the whole picture and the one slot that fits the query best."
)
# From this share of unknown tokens on, an answer is warned about.
MOSTLY_UNKNOWN = 0.5
# Clicks on anything with `data-action` reach Python; everything is a button, so the keyboard works, too.
FORWARD_CLICKS = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-action]');
  if (!button) return;
  const inside = button.closest('[data-query]');
  trigger('click', {
    action: button.dataset.action, id: button.dataset.id || '', query: inside ? inside.dataset.query : ''
  });
});
"""


def data_uri(jpeg: bytes) -> str:
    """Return a JPEG as an address: pictures are part of the page, and no other visitor can ask for them."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def status(text: str, kind: str = "") -> str:
    """Return a line that screen readers read out; the text is escaped. `kind` may be `error`."""
    role = "alert" if kind == "error" else "status"
    return f'<p class="status {kind}" role="{role}" dir="auto">{escape(text)}</p>'


def search_status(query: str, language: str | None, chosen: bool, shown: int, total: int, unknown: float = 0.0) -> str:
    """Return the line above the results of a query, and a warning if the model does not know most of its tokens.

    Args:
        query: The query.
        language: Code of its language, if that is known.
        chosen: Whether the visitor chose the language.
        shown: Number of results.
        total: Number of pictures searched.
        unknown: Share of the query's tokens that the model does not know.
    """
    if language is None:
        spoken = "language not recognised"
    else:
        spoken = f"{language_name(language)}, {'chosen' if chosen else 'detected'}"
    way = direction(language or "")
    lang = f' lang="{escape(language)}"' if language else ""
    return (
        f'<p class="status" role="status">Answers to <q dir="{way}"{lang}>{escape(query)}</q> '
        f'<span class="tag">{escape(spoken)}</span> {shown} of {total:,} pictures</p>{unreadable(unknown)}'
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


def tiles(results: Sequence[Hit], query: str, label: str, scores: bool = True, small: bool = False) -> str:
    """Return pictures as a list of buttons.

    Args:
        results: The pictures.
        query: What they answer, which comes back with a click.
        label: What the list is, for screen readers.
        scores: Whether to show rank and score.
        small: Whether the list is narrow.
    """
    items = "".join(f"<li>{_tile(result, scores, small)}</li>" for result in results)
    kind = "tiles small" if small else "tiles"
    return f'<ol class="{kind}" aria-label="{escape(label)}" data-query="{escape(query)}">{items}</ol>'


def legend(hits: Sequence[Hit]) -> str:
    """Return what the numbers below pictures mean, in plain words; nothing where there are no pictures."""
    if not hits:
        return ""
    slots = f" {WHAT_A_SLOT_IS} It is named next to the score." if any(hit.answered_by for hit in hits) else ""
    sure = f" {WHAT_CONFIDENCE_IS}" if hits[0].confidence is not None else ""
    return f'<p class="note">{WHAT_A_SCORE_IS}{sure}{slots}</p>'


def nothing_fits(nearest: Hit) -> str:
    """Return the line for a query without an answer that is sure enough."""
    return status(f"Nothing here fits; the nearest is {nearest.name} (confidence {nearest.confidence or 0:.2f}).")


def _tile(result: Hit, scores: bool, small: bool) -> str:
    alternative = result.description or f"Picture {result.name}, without a description"
    caption = f'<span class="name"><bdi>{escape(result.name)}</bdi></span>'
    if scores:
        slot = f" <small>slot&nbsp;{result.answered_by}</small>" if result.answered_by and not small else ""
        sure = "" if result.confidence is None or small else f" <small>{100 * result.confidence:.0f}&nbsp;%</small>"
        caption = f'<span class="rank">{result.rank}</span><span class="score">{result.score:.3f}{sure}{slot}</span>'
    return (
        f'<button type="button" class="tile" data-action="open" data-id="{escape(result.id)}" '
        f'title="{escape(result.name)}"><img alt="{escape(alternative)}" src="{data_uri(result.picture)}">'
        f"{caption}</button>"
    )


def explanation(why: Explanation, id: str, query: str, more: bool = True) -> str:
    """Return why a picture answers a query."""
    described = (
        f'<p dir="auto">{escape(why.description)}</p>'
        if why.description
        else "<p>This picture has no description; the model uses only the picture.</p>"
    )
    button = (
        f'<button type="button" class="chip" data-action="more" data-id="{escape(id)}">More like this</button>'
        if more
        else ""
    )
    return (
        f'<section class="why" data-query="{escape(query)}" aria-label="Why this picture">'
        f'<h3>Why <bdi>{escape(why.name)}</bdi> answers <q dir="auto">{escape(query)}</q></h3>'
        f'<img class="large" alt="{escape(why.description or why.name)}" src="{data_uri(why.picture)}">'
        f"{_sum(why)}<h4>Description</h4>{described}{button}{_slots(why)}</section>"
    )


def _sum(why: Explanation) -> str:
    best = why.best
    if best is None:
        return (
            f"<p>Score <b>{why.score:.3f}</b>: how well the query fits the whole picture. This model compares "
            "pictures only as a whole, so there are no parts to show.</p>"
        )
    said = (
        f"<p>Score <b>{why.score:.3f}</b> = whole picture {why.whole_picture:.3f} + "
        f"<b>slot {best.number}</b> {best.points:.3f}"
    )
    if why.share is None:
        return f"{said}. One of the two is negative, so a share of the score cannot be given.</p>"
    percent = 100 * why.share
    return (
        f"{said}, which is <b>{percent:.0f} %</b> of the score.</p>"
        f'<div class="bar" role="img" aria-label="Slot {best.number} gives {percent:.0f} percent of the score, '
        f'the whole picture the rest"><span style="width:{100 - percent:.1f}%">picture</span>'
        f'<span class="slot" style="width:{percent:.1f}%"></span></div>'
    )


def _slots(why: Explanation) -> str:
    if not why.slots:
        return ""
    answered = "".join(_slot(slot, True) for slot in why.slots if slot.number == why.answered_by)
    others = "".join(_slot(slot, False) for slot in why.slots if slot.number != why.answered_by)
    shown = any(slot.overlay or slot.words for slot in why.slots)
    note = (
        "Bright parts of the picture and coloured words are those that a slot takes most from. That is what it looks "
        "at, not proof of why the score is what it is."
        if shown
        else "This checkpoint cannot say what its slots look at."
    )
    rest = f'<details><summary>The other slots</summary><ul class="slots">{others}</ul></details>' if others else ""
    return f'<h4>The slots</h4><p class="note">{WHAT_A_SLOT_IS} {note}</p><ul class="slots">{answered}</ul>{rest}'


def _slot(slot: SlotPart, answered: bool) -> str:
    title = f"Slot {slot.number}{' — answered' if answered else ''}"
    picture = (
        f'<img alt="The picture, bright where slot {slot.number} looks" src="{data_uri(slot.overlay)}">'
        if slot.overlay
        else ""
    )
    summary = (
        "" if slot.summary_share is None else f"; looks at the picture as a whole: {100 * slot.summary_share:.0f} %"
    )
    return (
        f'<li class="{"answered" if answered else ""}">{picture}<div><b>{title}</b>'
        f'<p class="note">similarity {slot.similarity:.3f}{summary}</p>{_words(slot)}</div></li>'
    )


def _words(slot: SlotPart) -> str:
    most = max((weight for _, weight in slot.words), default=0.0)
    if most <= 0:
        return ""
    pieces = [
        f'<mark style="--weight:{weight / most:.2f}" title="{100 * weight:.1f} %">{escape(text)}</mark>'
        if weight
        else escape(text)
        for text, weight in slot.words
    ]
    return f'<p class="words" dir="auto">{"".join(pieces)}</p>'


def comparison(columns: Mapping[str, tuple[str, Sequence[Hit]]], top: int) -> str:
    """Return the answers in several languages side by side, with the overlap of their top results.

    Args:
        columns: By language, the query and its results.
        top: How many of each list are compared.
    """
    ids = {language: {result.id for result in results[:top]} for language, (_, results) in columns.items()}
    first = next(iter(columns))
    parts = []
    for language, (query, results) in columns.items():
        shared = len(ids[first] & ids[language])
        share = f'<p class="note">{shared} of {len(ids[first])} as in {escape(language_name(first))}</p>'
        name = escape(language_name(language))
        parts.append(
            f'<section aria-label="{name}"><h3>{name}</h3><p dir="auto" lang="{escape(language)}">{escape(query)}</p>'
            f"{'' if language == first else share}"
            f"{tiles(results[:4], query, f'Answers in {language_name(language)}', small=True)}</section>"
        )
    shown = "".join(parts)
    return f'{_overlap(ids, top)}<p class="note">{WHAT_A_SCORE_IS}</p><div class="columns">{shown}</div>'


def _overlap(ids: Mapping[str, set[str]], top: int) -> str:
    head = "".join(
        f'<th scope="col"><abbr title="{escape(language_name(code))}">{escape(code)}</abbr></th>' for code in ids
    )
    rows = ""
    for language, own in ids.items():
        counts = [len(own & others) for others in ids.values()]
        cells = "".join(f'<td style="--weight:{count / max(top, 1):.2f}">{count}</td>' for count in counts)
        rows += f'<tr><th scope="row">{escape(language_name(language))}</th>{cells}</tr>'
    return (
        f'<div class="scroll"><table><caption>How many of the first {top} pictures two languages share</caption>'
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )
