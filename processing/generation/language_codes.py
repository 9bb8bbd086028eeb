"""What translation models call the languages that the data name by ISO 639-1 codes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Language:
    """A language that captions can be translated from or into.

    Attributes:
        name: English name, for models that are asked in words.
        nllb: Code of NLLB-200 (FLORES-200).
        others: ISO 639-2 and 639-3 codes, and older or wider ones, that Marian and MADLAD-400 models use besides the
            ISO 639-1 code; the first that a model knows is taken.
    """

    name: str
    nllb: str
    others: tuple[str, ...]


LANGUAGES = {
    "af": Language("Afrikaans", "afr_Latn", ("afr",)),
    "ar": Language("Arabic", "arb_Arab", ("ara", "arb")),
    "az": Language("Azerbaijani", "azj_Latn", ("aze_Latn", "aze", "azj")),
    "be": Language("Belarusian", "bel_Cyrl", ("bel",)),
    "bg": Language("Bulgarian", "bul_Cyrl", ("bul",)),
    "bn": Language("Bengali", "ben_Beng", ("ben",)),
    "bs": Language("Bosnian", "bos_Latn", ("bos_Latn", "bos")),
    "ca": Language("Catalan", "cat_Latn", ("cat",)),
    "cs": Language("Czech", "ces_Latn", ("ces", "cze")),
    "cy": Language("Welsh", "cym_Latn", ("cym",)),
    "da": Language("Danish", "dan_Latn", ("dan",)),
    "de": Language("German", "deu_Latn", ("deu", "ger")),
    "el": Language("Greek", "ell_Grek", ("ell",)),
    "en": Language("English", "eng_Latn", ("eng",)),
    "es": Language("Spanish", "spa_Latn", ("spa",)),
    "et": Language("Estonian", "est_Latn", ("est",)),
    "fa": Language("Persian", "pes_Arab", ("fas", "pes")),
    "fi": Language("Finnish", "fin_Latn", ("fin",)),
    "fr": Language("French", "fra_Latn", ("fra", "fre")),
    "ga": Language("Irish", "gle_Latn", ("gle",)),
    "gl": Language("Galician", "glg_Latn", ("glg",)),
    "gu": Language("Gujarati", "guj_Gujr", ("guj",)),
    "he": Language("Hebrew", "heb_Hebr", ("iw", "heb")),
    "hi": Language("Hindi", "hin_Deva", ("hin",)),
    "hr": Language("Croatian", "hrv_Latn", ("hrv",)),
    "hu": Language("Hungarian", "hun_Latn", ("hun",)),
    "hy": Language("Armenian", "hye_Armn", ("hye",)),
    "id": Language("Indonesian", "ind_Latn", ("ind",)),
    "is": Language("Icelandic", "isl_Latn", ("isl",)),
    "it": Language("Italian", "ita_Latn", ("ita",)),
    "ja": Language("Japanese", "jpn_Jpan", ("jpn", "jap")),
    "ka": Language("Georgian", "kat_Geor", ("kat",)),
    "kk": Language("Kazakh", "kaz_Cyrl", ("kaz_Cyrl", "kaz")),
    "km": Language("Khmer", "khm_Khmr", ("khm",)),
    "ko": Language("Korean", "kor_Hang", ("kor_Hang", "kor")),
    "lt": Language("Lithuanian", "lit_Latn", ("lit",)),
    "lv": Language("Latvian", "lvs_Latn", ("lav", "lvs")),
    "mk": Language("Macedonian", "mkd_Cyrl", ("mkd",)),
    "ml": Language("Malayalam", "mal_Mlym", ("mal",)),
    "mn": Language("Mongolian", "khk_Cyrl", ("mon", "khk")),
    "mr": Language("Marathi", "mar_Deva", ("mar",)),
    "ms": Language("Malay", "zsm_Latn", ("zsm_Latn", "msa", "zsm")),
    "my": Language("Burmese", "mya_Mymr", ("mya_Mymr", "mya")),
    "ne": Language("Nepali", "npi_Deva", ("nep", "npi")),
    "nl": Language("Dutch", "nld_Latn", ("nld", "dut")),
    "no": Language("Norwegian Bokmål", "nob_Latn", ("nb", "nob", "nor")),
    "pl": Language("Polish", "pol_Latn", ("pol",)),
    "pt": Language("Portuguese", "por_Latn", ("por",)),
    "ro": Language("Romanian", "ron_Latn", ("ron", "rum")),
    "ru": Language("Russian", "rus_Cyrl", ("rus",)),
    "sk": Language("Slovak", "slk_Latn", ("slk",)),
    "sl": Language("Slovenian", "slv_Latn", ("slv",)),
    "sq": Language("Albanian", "als_Latn", ("sqi", "als")),
    "sr": Language("Serbian", "srp_Cyrl", ("srp_Cyrl", "srp")),
    "sv": Language("Swedish", "swe_Latn", ("swe",)),
    "sw": Language("Swahili", "swh_Latn", ("swa", "swh")),
    "ta": Language("Tamil", "tam_Taml", ("tam",)),
    "te": Language("Telugu", "tel_Telu", ("tel",)),
    "th": Language("Thai", "tha_Thai", ("tha",)),
    "tl": Language("Tagalog", "tgl_Latn", ("fil", "tgl_Latn", "tgl")),
    "tr": Language("Turkish", "tur_Latn", ("tur",)),
    "uk": Language("Ukrainian", "ukr_Cyrl", ("ukr",)),
    "ur": Language("Urdu", "urd_Arab", ("urd",)),
    "vi": Language("Vietnamese", "vie_Latn", ("vie",)),
    "zh": Language("Chinese", "zho_Hans", ("cmn_Hans", "zho_Hans", "cmn", "zho", "zh_cn")),
}
"""All of them; not every model knows each."""


def language(code: str) -> Language:
    """Return the language of an ISO 639-1 code.

    Raises:
        ValueError: If it is not among those that can be translated.
    """
    if code not in LANGUAGES:
        raise ValueError(f"There is no language {code} to translate; there are {', '.join(LANGUAGES)}.")
    return LANGUAGES[code]


def names_of(code: str) -> tuple[str, ...]:
    """Return all codes that a Marian or MADLAD-400 model may have for a language, the likeliest first."""
    return (code, *language(code).others)


def code_of(name: str | None) -> str | None:
    """Return our code of a language that a Marian model names, or None where the name is of a group or unknown."""
    return next((code for code in LANGUAGES if name in names_of(code)), None)
