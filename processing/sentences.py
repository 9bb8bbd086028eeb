"""Splitting descriptions into sentences, in whichever of the six languages they are written."""

import unicodedata
from collections.abc import Sequence
from typing import Any

from sentencex import get_sentence_boundaries

from .text_rule_leccr import is_blank

LANGUAGES = ("en", "de", "fr", "cs", "zh", "ja")
MOST_SENTENCES = 64
"""Sentences of a description that become slots; a picture is not told apart better by more."""


def split_sentences(text: str | None) -> list[str]:
    """Split a description into its sentences, at most `MOST_SENTENCES`; none if there is no text.

    A sentence ends at the end of a line, and where the rules of all six languages see an end: what is an abbreviation
    in one of them ("z. B.", "M. Dupont", "3. května") is none in another, and which language it is need not be known.
    So two sentences stay together now and then, but hardly one is torn apart.

    Args:
        text: The description. Answers to several questions are lines.
    """
    # Half of a surrogate pair is not text, as in `LeccrProcessor`.
    readable = (text or "").encode("utf-8", "replace").decode("utf-8")
    lines = [" ".join(line.split()) for line in readable.splitlines()]
    sentences = [sentence for line in lines for sentence in _split_line(line)]
    return [sentence for sentence in sentences if not is_blank(sentence)][:MOST_SENTENCES]


def split_for(processor: Any, descriptions: Sequence[str | None]) -> list[Any]:
    """Return descriptions as a processor takes them: in sentences if those are slots of its model."""
    if not getattr(processor, "sentence_slots", False):
        return list(descriptions)
    return [split_sentences(description) for description in descriptions]


def _split_line(line: str) -> list[str]:
    ends = set.intersection(*({end["end_index"] for end in get_sentence_boundaries(code, line)} for code in LANGUAGES))
    pieces, start = [], 0
    for end in sorted(ends | {len(line)}):
        # Numbers of a list, and dots, belong to what follows.
        has_words = any(character.isalpha() for character in line[start:end])
        if end == len(line) or (has_words and not _continues(line, end)):
            pieces.append(line[start:end].strip())
            start = end
    return pieces


def _continues(line: str, end: int) -> bool:
    """Return whether a sentence goes on after a quotation in it that ends here, as in 「止まれ！」と言う."""
    return line[end - 1] in "\"'" or unicodedata.category(line[end - 1]) in ("Pe", "Pf")
