"""Every language has a word for everything a scene can show."""

import pytest

from processing.scenes import lexicon as words
from processing.scenes.content import BACKGROUNDS, COLOURS, KINDS, PLACES, SIZES

TABLES = {
    "NOUN": ({"DE", "FR", "CS", "ZH", "JA"}, KINDS),
    "ADJECTIVE": ({"DE", "FR", "CS"}, (*COLOURS, *SIZES)),
    "COLOUR": ({"ZH", "JA"}, COLOURS),
    "SIZE": ({"ZH", "JA"}, ("", *SIZES)),
    "BACKGROUND": ({"EN", "DE", "FR", "CS", "ZH", "JA"}, BACKGROUNDS),
    "PLACE": ({"EN", "DE", "FR", "CS", "ZH", "JA"}, PLACES),
    "PLACE_IN_PICTURE": ({"DE", "CS"}, PLACES),
    "SCENERY": ({"EN"}, BACKGROUNDS),
}


@pytest.mark.parametrize("table", TABLES)
def test_tables_cover_all_values_with_different_words(table):
    languages, values = TABLES[table]
    for language in languages:
        entries = getattr(words, f"{language}_{table}")
        assert tuple(entries) == values
        assert len({str(entry) for entry in entries.values()}) == len(values)


def test_czech_animate_nouns_have_the_genitive_as_accusative_and_inanimate_ones_the_nominative():
    for (nominative, genitive, accusative, _), gender in words.CS_NOUN.values():
        if gender == "a":
            assert accusative == genitive != nominative
        if gender in ("m", "n"):
            assert accusative == nominative
