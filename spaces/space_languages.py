"""Languages: their names, which one a query is in, and the direction it is read in."""

import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

from babel import Locale, UnknownLocaleError
from babel.core import get_global

SIX = ("en", "de", "fr", "cs", "zh", "ja")
# Sentences by which it shows whether a vocabulary has a language's letters.
SENTENCES = {
    "en": "A dog runs along the beach.",
    "de": "Ein Hund rennt über den Strand.",
    "fr": "Un chien court le long de la plage.",
    "cs": "Pes běží po pláži.",
    "zh": "一只狗在海滩上奔跑。",
    "ja": "犬が浜辺を走っています。",
}


def language_name(code: str) -> str:
    """Return the English name of a language, or its code if it has none."""
    return Locale("en").languages.get(code, code)


def direction(code: str) -> str:
    """Return `rtl` or `ltr`, or `auto` for an unknown language, where the text itself decides."""
    try:
        return str(Locale.parse(code).text_direction)
    except (ValueError, UnknownLocaleError):
        return "auto"


def readable(languages: Sequence[str], unknown_share: Callable[[str], float]) -> list[str]:
    """Return those of some languages whose sentences a model can read; the ones not tried are trusted.

    Args:
        languages: Their codes.
        unknown_share: Returns the share of a text's tokens that the model does not know.
    """
    return [code for code in languages if code not in SENTENCES or unknown_share(SENTENCES[code]) < 0.5]


# First words of the names that Unicode gives to the letters of a script, where they are not the script's own name.
LETTERS = {
    "Hans": ("CJK",),
    "Hant": ("CJK",),
    "Jpan": ("CJK", "HIRAGANA", "KATAKANA"),
    "Kore": ("HANGUL", "CJK"),
}
# Least probability among the languages that a text may be in.
SURE = 0.8


def letters_of(code: str) -> tuple[str, ...]:
    """Return how the Unicode names of a language's letters begin; empty names, which fit all, if that is unknown."""
    script = (get_global("likely_subtags").get(code) or code).split("_")[1:2]
    name = Locale("en").scripts.get(script[0], "") if script else ""
    return LETTERS.get(script[0] if script else "", (name.split(" ")[0].upper(),))


class LanguageDetector:
    """Tells the language of a query among some, where it is sure.

    Args:
        languages: Codes to choose from.
    """

    def __init__(self, languages: Sequence[str]) -> None:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier

        # It knows all languages, not only those to choose from, so that it can tell that a text is in none of them.
        self._identifier: Any = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
        self.languages = [code for code in languages if code in self._identifier.labels]
        self._letters = {code: letters_of(code) for code in self.languages}

    def detect(self, text: str) -> str | None:
        """Return the code of the most likely language.

        None for a text without letters, in a script that none of the languages uses, more likely in another language,
        or too short to tell.
        """
        text = unicodedata.normalize("NFKC", text)
        names = [unicodedata.name(letter, "?") for letter in text if unicodedata.category(letter).startswith("L")]
        if not names or not self.languages:
            return None
        share = {
            code: sum(name.startswith(letters) for name in names) / len(names)
            for code, letters in self._letters.items()
        }
        candidates = [code for code, found in share.items() if found == max(share.values()) >= 0.5]
        if not candidates:
            return None
        likely = {code: float(probability) for code, probability in self._identifier.rank(text)}
        best = max(candidates, key=lambda code: likely[code])
        is_sure = likely[best] >= SURE * sum(likely[code] for code in candidates)
        return best if is_sure and 2 * likely[best] >= max(likely.values()) else None
