"""Why a picture answers, and what its file says, as HTML in plain words."""

from collections.abc import Sequence
from html import escape

from space_explain import Explanation, SlotPart, contrast
from space_files import data_uri

WHAT_A_SCORE_IS = (
    "The score says how well a picture fits the query: higher is better. It only ranks the pictures of one search and "
    "is not a probability."
)
WHAT_A_SLOT_IS = (
    "The model divides what a picture and its description show into a few parts, called <em>slots</em>. A score counts "
    "the whole picture and the one slot that fits the query best."
)
# Where nothing stands out by this factor, everything is looked at alike.
ALIKE = 1.02
Facts = Sequence[tuple[str, str]]


def details(id: str, facts: Facts, more: bool = True) -> str:
    """Return what is known about a picture where nothing was asked for.

    Args:
        id: The picture's.
        facts: Names and values.
        more: Whether pictures like it can be asked for.
    """
    like = _like(id) if more else ""
    return f'<section class="why" data-id="{escape(id)}" data-query="">{_facts(facts)}{like}</section>'


def explanation(why: Explanation, id: str, query: str, facts: Facts = (), more: bool = True) -> str:
    """Return why a picture answers a query; arguments as for `details`."""
    without = "" if why.description else '<p class="note">It has no description; the model uses only the picture.</p>'
    return (
        f'<section class="why" data-id="{escape(id)}" data-query="{escape(query)}" aria-label="Why this picture">'
        f'<h3>Why it answers <q dir="auto">{escape(query)}</q></h3>{_sum(why)}{without}{_slots(why)}{_facts(facts)}'
        f"{_like(id) if more else ''}</section>"
    )


def _like(id: str) -> str:
    return f'<button type="button" class="chip" data-action="like" data-id="{escape(id)}">More like this</button>'


def _facts(facts: Facts) -> str:
    if not facts:
        return ""
    rows = "".join(f"<dt>{escape(name)}</dt><dd><bdi>{escape(value)}</bdi></dd>" for name, value in facts)
    return f"<details open><summary>Details</summary><dl>{rows}</dl></details>"


def _sum(why: Explanation) -> str:
    best = why.best
    note = f'<p class="note">{WHAT_A_SCORE_IS}</p>'
    if best is None:
        return (
            f"<p>Score <b>{why.score:.3f}</b>: how well the query fits the whole picture. This model compares "
            f"pictures only as a whole, so there are no parts to show.</p>{note}"
        )
    said = (
        f"<p>Score <b>{why.score:.3f}</b> = whole picture {why.whole_picture:.3f} + "
        f"<b>slot {best.number}</b> {best.points:.3f}"
    )
    if why.share is None:
        return f"{said}. One of the two is negative, so a share of the score cannot be given.</p>{note}"
    percent = 100 * why.share
    return (
        f'{said}.</p><div class="bar" role="img" aria-label="The whole picture gives {100 - percent:.0f} percent of '
        f'the score, slot {best.number} the rest"><span style="width:{100 - percent:.1f}%"></span>'
        f'<span class="slot" style="width:{percent:.1f}%"></span></div><ul class="key">'
        f"<li><i></i>the whole picture gives {100 - percent:.0f} % of the score</li>"
        f'<li><i class="slot"></i>slot {best.number}, the part that fits best, gives <b>{percent:.0f} %</b></li></ul>'
        f"{note}"
    )


def _slots(why: Explanation) -> str:
    if not why.slots:
        return ""
    answered = "".join(_slot(slot, True) for slot in why.slots if slot.number == why.answered_by)
    others = "".join(_slot(slot, False) for slot in why.slots if slot.number != why.answered_by)
    note = (
        "Bright parts of the picture and coloured words are those that a slot takes more from than from the others. "
        "That is what it looks at, not proof of why the score is what it is."
        if any(slot.overlay or slot.words for slot in why.slots)
        else "This checkpoint cannot say what its slots look at."
    )
    rest = f'<details><summary>The other slots</summary><ul class="slots">{others}</ul></details>' if others else ""
    return f'<h4>The slots</h4><p class="note">{WHAT_A_SLOT_IS} {note}</p><ul class="slots">{answered}</ul>{rest}'


def _slot(slot: SlotPart, answered: bool) -> str:
    title = f"Slot {slot.number}{', which answered' if answered else ''}"
    picture = (
        f'<img alt="The picture, bright where slot {slot.number} looks" src="{data_uri(slot.overlay)}">'
        if slot.overlay
        else ""
    )
    notes = [f"Similarity to the query: {slot.similarity:.3f}."]
    if slot.summary_share is not None:
        notes.append(f"It takes {100 * slot.summary_share:.0f} % from the picture as a whole.")
    if slot.focus is not None:
        notes.append(_focus(slot.focus))
    return (
        f'<li class="{"answered" if answered else ""}">{picture}<div><b>{title}</b>'
        f'<p class="note">{" ".join(notes)}</p>{_words(slot)}</div></li>'
    )


def _focus(times: float) -> str:
    if times < ALIKE:
        return "It looks at all parts of the picture alike."
    much = "over 100" if times > 100 else f"{times:.1f}" if times < 10 else f"{times:.0f}"
    return f"The brightest part counts {much} times as much as the darkest."


def _words(slot: SlotPart) -> str:
    """Return the description, each word as strongly coloured as it stands out among the others."""
    weights = [weight for _, weight in slot.words if weight > 0]
    if not weights:
        return ""
    if len(weights) == 1 or max(weights) < ALIKE * min(weights):
        text = escape("".join(text for text, _ in slot.words))
        note = "" if len(weights) == 1 else '<p class="note">It reads all words alike.</p>'
        return f'<p class="words" dir="auto">{text}</p>{note}'
    strong = iter(contrast(weights))
    pieces = [
        f'<mark style="--weight:{next(strong):.2f}" title="{100 * weight:.1f} %">{escape(text)}</mark>'
        if weight > 0
        else escape(text)
        for text, weight in slot.words
    ]
    return f'<p class="words" dir="auto">{"".join(pieces)}</p>'
