"""A query in each of the papers' languages, for the example of a card."""

from collections.abc import Sequence

QUERIES = {
    "de": "Ein Hund läuft am Strand.",
    "fr": "Un chien court sur la plage.",
    "cs": "Pes běží po pláži.",
    "zh": "一只狗在沙滩上奔跑。",
    "ja": "犬が浜辺を走っている。",
    "en": "A dog runs along the beach.",
}


def example_query(languages: Sequence[str]) -> str:
    """Return a query in one of the languages, English only if there is no other."""
    return next((text for code, text in QUERIES.items() if code in languages), QUERIES["en"])
