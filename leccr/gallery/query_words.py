"""The words of a query: those in quotes, which an answer must have, and the others, which speak for an answer."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from .store.words import has_no_spaces, plain_words

MOST_TERMS = 64
# Also as telephones write them.
_QUOTED = re.compile('"([^"]*)"|[“„]([^“”„"]*)[“”]')
# Shorter words count as a whole, those up to the second number from the beginning of a word, and longer ones anywhere.
_WHOLE, _BEGINNING = 2, 4


@dataclass(frozen=True)
class QueryWords:
    """The words of one query.

    Attributes:
        text: The query without quotes, as a model reads it.
        required: Phrases that an answer must have, as `plain_words` writes them.
        terms: What speaks for an answer: each word as it is shown, with what is searched for.
    """

    text: str
    required: tuple[str, ...]
    terms: tuple[tuple[str, str], ...]


def words_of_query(query: str) -> QueryWords:
    """Return the words of a query.

    `"..."` must occur as these words, one after the other. Of the others, words of one or two letters count where they
    occur as a whole, those of three and four letters also as the beginning of a word, and longer ones within a word:
    "dog" speaks for "dogs", "strand" for "Sandstrand". Scripts without spaces are cut into pairs of characters.
    """
    quoted = ["".join(found) for found in _QUOTED.findall(query)]
    required = tuple(dict.fromkeys(filter(None, map(plain_words, quoted))))
    terms = dict.fromkeys(_terms(plain_words(_QUOTED.sub(" ", query)).split()))
    text = _QUOTED.sub(lambda match: f" {match[1] or match[2] or ''} ", query) if required else query
    return QueryWords(" ".join(text.split()) if required else text, required, tuple(terms)[:MOST_TERMS])


def nothing_matches(query: str, where: str | None) -> str:
    """Return the sentence for a query without any answer, because of its quotes or of a filter."""
    quotes = [match[0] for match in _QUOTED.finditer(query)] if words_of_query(query).required else []
    said = " and ".join([*quotes[:3], *([f"the filter {where}"] if where is not None else [])])
    return f"No item matches {said}."


def _terms(words: list[str]) -> Iterator[tuple[str, str]]:
    for number, word in enumerate(words):
        if not has_no_spaces(word[0]):
            yield word, word if len(word) > _BEGINNING else f" {word}" if len(word) > _WHOLE else f" {word} "
            continue
        following = words[number + 1] if number + 1 < len(words) else ""
        before = words[number - 1] if number else ""
        if following and has_no_spaces(following[0]):
            yield word + following, f" {word} {following} "
        elif not (before and has_no_spaces(before[0])):
            yield word, f" {word} "
