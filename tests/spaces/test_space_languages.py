import pytest
from space_languages import SIX, LanguageDetector, direction, language_name, letters_of, readable

from processing.scenes.build import example_queries, sample_scenes


@pytest.fixture(scope="module")
def detector() -> LanguageDetector:
    return LanguageDetector(SIX)


def test_queries_of_scenes_are_recognised(detector: LanguageDetector) -> None:
    queries = [example_queries(scene) for scene in sample_scenes({"test": 20})["test"]]
    right = [detector.detect(text) == language for query in queries for language, text in query.items()]
    assert sum(right) > 0.95 * len(right)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "A dog runs along the beach."),
        ("de", "Ein Hund läuft am Strand entlang."),
        ("fr", "Un chien court sur la plage."),
        ("cs", "Pes běží po pláži."),
        ("zh", "一只狗在沙滩上奔跑。"),
        ("ja", "犬が浜辺を走っている。"),
    ],
)
def test_sentences_about_photos_are_recognised(language: str, text: str, detector: LanguageDetector) -> None:
    assert detector.detect(text) == language


@pytest.mark.parametrize("text", ["", "42 + 7", "🙂", "…"])
def test_a_text_without_letters_has_no_language(text: str, detector: LanguageDetector) -> None:
    assert detector.detect(text) is None


def test_only_the_models_languages_are_considered() -> None:
    detector = LanguageDetector(["fr", "ar", "tlh"])
    assert detector.languages == ["fr", "ar"]
    assert detector.detect("Un chien brun court le long de la plage.") == "fr"
    assert detector.detect("كلب بني يجري على الشاطئ") == "ar"
    assert LanguageDetector(["tlh"]).languages == [] and LanguageDetector(["tlh"]).detect("Un chien brun") is None


@pytest.mark.parametrize(
    "text",
    [
        "שלום עולם",
        "собака бежит по пляжу",
        "สุนัขวิ่งบนชายหาด",
        "개가 해변을 달린다",
        "σκύλος στην παραλία",
        "dwa psy biegną na plaży",
        "un cane corre sulla spiaggia",
        "två hundar springer på stranden",
        "狗",
        "ok",
        "IMG 1234",
    ],
)
def test_other_languages_and_what_is_too_short_are_not_guessed(text: str, detector: LanguageDetector) -> None:
    assert detector.detect(text) is None


def test_full_width_and_decomposed_letters_count_as_what_they_are(detector: LanguageDetector) -> None:
    assert detector.detect("Ｔｗｏ　ｄｏｇｓ　ｒｕｎ　ａｌｏｎｇ　ｔｈｅ　ｂｅａｃｈ．") == "en"
    assert detector.detect("Pes be\u030cz\u030ci\u0301 po pla\u0301z\u030ci.") == "cs"


def test_scripts() -> None:
    assert [letters_of(code) for code in ("cs", "he", "ja", "ru")] == [
        ("LATIN",),
        ("HEBREW",),
        ("CJK", "HIRAGANA", "KATAKANA"),
        ("CYRILLIC",),
    ]
    assert letters_of("xx") == ("",)


def test_names_and_directions() -> None:
    assert [direction(code) for code in ("ar", "de", "tlh")] == ["rtl", "ltr", "auto"]
    assert [language_name(code) for code in ("cs", "tr", "xx")] == ["Czech", "Turkish", "xx"]


def test_languages_whose_letters_the_model_does_not_know_are_left_out() -> None:
    def unknown_share(text: str) -> float:
        return float(not text.isascii())

    assert readable(["en", "de", "zh", "fi"], unknown_share) == ["en", "fi"]
