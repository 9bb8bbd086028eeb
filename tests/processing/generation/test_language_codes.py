import pytest
from transformers.models.m2m_100.tokenization_m2m_100 import FAIRSEQ_LANGUAGE_CODES as M2M100_CODES
from transformers.models.nllb.tokenization_nllb import FAIRSEQ_LANGUAGE_CODES as NLLB_CODES

from processing.generation.language_codes import LANGUAGES, code_of, language, names_of


def test_the_benchmarks_languages_and_thirty_more_are_there() -> None:
    assert {"en", "de", "fr", "cs", "zh", "ja"} <= set(LANGUAGES)
    assert len(LANGUAGES) >= 36


def test_nllb_has_every_code_once() -> None:
    codes = [known.nllb for known in LANGUAGES.values()]
    assert set(codes) <= set(NLLB_CODES)
    assert len(set(codes)) == len(codes)


def test_m2m100_lacks_only_telugu() -> None:
    assert set(LANGUAGES) - set(M2M100_CODES["m2m100"]) == {"te"}


def test_no_name_stands_for_two_languages() -> None:
    names = [name for code in LANGUAGES for name in names_of(code)]
    assert len(set(names)) == len(names)


def test_names_lead_back_to_codes() -> None:
    assert [code_of(name) for name in ("de", "deu", "zho", "jap", "gem", None)] == ["de", "de", "zh", "ja", None, None]


def test_unknown_languages_are_named() -> None:
    with pytest.raises(ValueError, match="There is no language xx to translate; there are af, ar,"):
        language("xx")
