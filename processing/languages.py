"""Names of languages, from the tables of Unicode CLDR that babel brings."""

from babel import Locale


def language_name(code: str) -> str:
    """Return the English name of a language, or the code itself if it has none.

    Args:
        code: ISO 639 code, such as `de`.
    """
    return Locale("en").languages.get(code, code)
