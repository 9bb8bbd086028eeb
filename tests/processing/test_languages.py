from processing.generation.language_codes import LANGUAGES
from processing.languages import language_name


def test_names_of_languages() -> None:
    assert [language_name(code) for code in ("cs", "nb", "zh")] == ["Czech", "Norwegian Bokmål", "Chinese"]
    assert language_name("tlh-x") == "tlh-x"


def test_every_language_that_can_be_translated_has_a_name() -> None:
    assert all(language_name(code) != code for code in LANGUAGES)
