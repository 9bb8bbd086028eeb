import pytest
from space_languages import IDEAS, SIX, LanguageDetector, direction, language_name

from processing.scenes.build import example_queries, sample_scenes


@pytest.fixture(scope="module")
def detector() -> LanguageDetector:
    return LanguageDetector(SIX)


def test_queries_of_scenes_are_recognised(detector: LanguageDetector) -> None:
    queries = [example_queries(scene) for scene in sample_scenes({"test": 20})["test"]]
    right = [detector.detect(text) == language for query in queries for language, text in query.items()]
    assert sum(right) > 0.95 * len(right)


@pytest.mark.parametrize("idea", IDEAS)
def test_ideas_are_in_the_languages_that_they_say(idea: dict[str, str], detector: LanguageDetector) -> None:
    assert {language: detector.detect(text) for language, text in idea.items()} == {code: code for code in SIX}


@pytest.mark.parametrize("text", ["", "42 + 7", "🙂", "…"])
def test_a_text_without_letters_has_no_language(text: str, detector: LanguageDetector) -> None:
    assert detector.detect(text) is None


def test_only_the_models_languages_are_considered() -> None:
    detector = LanguageDetector(["fr", "ar", "tlh"])
    assert detector.languages == ["fr", "ar"]
    assert detector.detect("Ein brauner Hund läuft am Strand entlang.") == "fr"
    assert LanguageDetector(["tlh"]).languages == list(SIX)


def test_names_and_directions() -> None:
    assert [direction(code) for code in ("ar", "de", "tlh")] == ["rtl", "ltr", "auto"]
    assert [language_name(code) for code in ("cs", "tr", "xx")] == ["Czech", "Turkish", "xx"]
