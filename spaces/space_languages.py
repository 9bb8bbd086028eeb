"""Languages: their names, which one a query is in, the direction it is read in, and an idea in each of six."""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from babel import Locale, UnknownLocaleError

SIX = ("en", "de", "fr", "cs", "zh", "ja")
# Shown where a gallery brings no examples of its own.
IDEAS: Sequence[Mapping[str, str]] = (
    {
        "en": "A dog runs along the beach.",
        "de": "Ein Hund läuft am Strand entlang.",
        "fr": "Un chien court sur la plage.",
        "cs": "Pes běží po pláži.",
        "zh": "一只狗在沙滩上奔跑。",
        "ja": "犬が浜辺を走っている。",
    },
    {
        "en": "Two children play in the snow.",
        "de": "Zwei Kinder spielen im Schnee.",
        "fr": "Deux enfants jouent dans la neige.",
        "cs": "Dvě děti si hrají ve sněhu.",
        "zh": "两个孩子在雪地里玩耍。",
        "ja": "二人の子どもが雪の中で遊んでいる。",
    },
)


def language_name(code: str) -> str:
    """Return the English name of a language, or its code if it has none."""
    return Locale("en").languages.get(code, code)


def direction(code: str) -> str:
    """Return `rtl` or `ltr`, or `auto` for an unknown language, where the text itself decides."""
    try:
        return str(Locale.parse(code).text_direction)
    except (ValueError, UnknownLocaleError):
        return "auto"


class LanguageDetector:
    """Tells the language of a query among some.

    Args:
        languages: Codes to choose from.
    """

    def __init__(self, languages: Sequence[str]) -> None:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier

        self._identifier: Any = LanguageIdentifier.from_model_file(MODEL_FILE)
        known = [code for code in languages if code in self._identifier.labels]
        self.languages = known or list(SIX)
        self._identifier.set_languages(self.languages)

    def detect(self, text: str) -> str | None:
        """Return the code of the most likely language; None for a text without letters."""
        if not any(unicodedata.category(letter).startswith("L") for letter in text):
            return None
        return str(self._identifier.classify(text)[0])
