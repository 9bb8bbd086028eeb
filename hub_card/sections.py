"""Cards made of marked sections: those that a program writes, and around them what a person wrote."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from processing.errors import UserError

BEGIN, END = "<!-- leccr: begin {} -->", "<!-- leccr: end {} -->"
MARKER = re.compile(r"^<!-- leccr: (begin|end) ([a-z-]+) -->[ \t]*$", re.MULTILINE)
FRONT_MATTER = re.compile(r"\A\s*---[ \t]*\n(.*?)\n---[ \t]*(?:\n|\Z)", re.DOTALL)
# What Trainer puts into the card that it drafts.
DRAFT = "This model card has been generated automatically according to the information the Trainer had access to"


def join_card(metadata: Mapping[str, Any], sections: Mapping[str, str]) -> str:
    """Return a card: the front matter, then every section between its two markers.

    Args:
        metadata: Fields of the front matter.
        sections: Markdown by name, in their order.
    """
    return _front_matter(metadata) + "\n" + "\n\n".join(_marked(name, text) for name, text in sections.items()) + "\n"


def merge_cards(old: str, new: str, name: str = "README.md") -> str:
    """Return the old card with its generated sections and fields as in the new one.

    Text outside the markers is kept. Sections that the old card lacks come after the one that precedes
    them in the new card; sections that the new card lacks go. Fields of the front matter that only the old card has
    stay, and so do its own entries in lists such as tags. A card that only Trainer drafted is replaced.

    Args:
        old: A card that `join_card` made and a person may have edited, or any other one.
        new: A card that `join_card` made.
        name: Of the old card, for messages.

    Raises:
        UserError: If the old card's markers are not in pairs, or its front matter is not a YAML mapping.
    """
    old = old.replace("\r\n", "\n")
    old_fields, old_body = split_card(old, name)
    new_fields, new_body = split_card(new, "the new card")
    if DRAFT in old_body and not MARKER.search(old_body):
        return new
    sections = {key: text for key, text in _pieces(new_body, "the new card") if key}
    pieces: list[tuple[str | None, str]] = []
    for key, text in _pieces(old_body, name):
        if key is None:
            pieces.append((None, text))
        elif key in sections:
            pieces.append((key, sections[key]))
    body = "".join(text for _, text in _with_missing(pieces, sections))
    return _front_matter(_merged_fields(old_fields, new_fields)) + body.rstrip("\n") + "\n"


def own_text(card: str, name: str = "README.md") -> str:
    """Return what a person wrote into a card: everything outside the front matter and the generated sections.

    Raises:
        UserError: If the card's markers are not in pairs, or its front matter is not a YAML mapping.
    """
    _, body = split_card(card.replace("\r\n", "\n"), name)
    return "\n".join(text.strip() for key, text in _pieces(body, name) if key is None and text.strip())


def split_card(card: str, name: str) -> tuple[dict[str, Any], str]:
    """Return a card's front matter and its body.

    Raises:
        UserError: If the front matter is not a YAML mapping.
    """
    match = FRONT_MATTER.match(card)
    if match is None:
        return {}, card
    try:
        fields = yaml.safe_load(match.group(1)) or {}
    except yaml.YAMLError as error:
        raise UserError(
            f"The front matter of {name} is not YAML; repair the lines between the first two ---."
        ) from error
    if not isinstance(fields, dict):
        raise UserError(f"The front matter of {name} has no fields; write it as name: value.")
    return fields, card[match.end() :]


def _pieces(body: str, name: str) -> list[tuple[str | None, str]]:
    """Return the body in pieces: a section's name and the section with its markers, or None and a person's text."""
    pieces: list[tuple[str | None, str]] = []
    opened, position, start = None, 0, 0
    for marker in MARKER.finditer(body):
        kind, section = marker.groups()
        if (kind == "begin") != (opened is None) or (kind == "end" and section != opened):
            raise UserError(
                f"In {name} the marker {marker.group().strip()} has no partner; put the missing one back, or delete it."
            )
        if kind == "begin":
            pieces.append((None, body[position : marker.start()]))
            opened, start = section, marker.start()
        else:
            pieces.append((opened, body[start : marker.end()]))
            opened, position = None, marker.end()
    if opened is not None:
        raise UserError(f"In {name} the section {opened} has no end; put {END.format(opened)} after it.")
    return [*pieces, (None, body[position:])]


def _with_missing(pieces: list[tuple[str | None, str]], sections: Mapping[str, str]) -> list[tuple[str | None, str]]:
    merged = list(pieces)
    order = list(sections)
    for index, key in enumerate(order):
        present = [name for name, _ in merged]
        if key in present:
            continue
        before = [present.index(name) for name in order[:index] if name in present]
        after = max(before) + 1 if before else 0
        if before or any(name in present for name in order):
            merged[after:after] = [(None, "\n\n" if before else "\n"), (key, sections[key])]
            if not before:
                merged.insert(after + 2, (None, "\n"))
        else:
            # It has no generated section: all of it is a person's, and comes first.
            merged = [(None, "".join(text for _, text in merged).rstrip("\n") + "\n\n"), (key, sections[key])]
    return merged


def _merged_fields(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(new)
    for field, value in old.items():
        if field not in new:
            merged[field] = value
        elif field != "model-index" and isinstance(value, list) and isinstance(new[field], list):
            merged[field] = [*new[field], *(entry for entry in value if entry not in new[field])]
    return merged


def _marked(name: str, text: str) -> str:
    return f"{BEGIN.format(name)}\n{text.strip()}\n{END.format(name)}"


def _front_matter(metadata: Mapping[str, Any]) -> str:
    text = yaml.safe_dump(dict(metadata), sort_keys=False, allow_unicode=True, width=100_000)
    return f"---\n{text}---\n"
