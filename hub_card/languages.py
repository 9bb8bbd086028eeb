"""Names of languages, and a query in each for the example."""

from collections.abc import Sequence

NAMES = {
    "cs": "Czech",
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "fr": "French",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "pl": "Polish",
    "pt": "Portuguese",
    "ru": "Russian",
    "zh": "Chinese",
}
QUERIES = {
    "de": "Ein Hund läuft am Strand.",
    "fr": "Un chien court sur la plage.",
    "cs": "Pes běží po pláži.",
    "zh": "一只狗在沙滩上奔跑。",
    "ja": "犬が浜辺を走っている。",
    "en": "A dog runs along the beach.",
}


def language_name(code: str) -> str:
    """Return the English name of a language, or its code if it is not among those we name."""
    return NAMES.get(code, code)


def example_query(languages: Sequence[str]) -> str:
    """Return a query in one of the languages, not English if there is another, which is what the models are for."""
    return next((text for code, text in QUERIES.items() if code in languages), QUERIES["en"])
