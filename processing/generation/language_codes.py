"""What translation models call the languages that the data name by ISO 639-1 codes."""

from dataclasses import dataclass

from ..errors import UserError


@dataclass(frozen=True)
class Language:
    """A language that captions can be translated from or into.

    Attributes:
        nllb: Code of NLLB-200 (FLORES-200).
        others: ISO 639-2 and 639-3 codes, and older or wider ones, that Marian and MADLAD-400 models use besides the
            ISO 639-1 code; the first that a model knows is taken.
    """

    nllb: str
    others: tuple[str, ...]


LANGUAGES = {
    "af": Language("afr_Latn", ("afr",)),
    "ar": Language("arb_Arab", ("ara", "arb")),
    "az": Language("azj_Latn", ("aze_Latn", "aze", "azj")),
    "be": Language("bel_Cyrl", ("bel",)),
    "bg": Language("bul_Cyrl", ("bul",)),
    "bn": Language("ben_Beng", ("ben",)),
    "bs": Language("bos_Latn", ("bos_Latn", "bos")),
    "ca": Language("cat_Latn", ("cat",)),
    "cs": Language("ces_Latn", ("ces", "cze")),
    "cy": Language("cym_Latn", ("cym",)),
    "da": Language("dan_Latn", ("dan",)),
    "de": Language("deu_Latn", ("deu", "ger")),
    "el": Language("ell_Grek", ("ell",)),
    "en": Language("eng_Latn", ("eng",)),
    "es": Language("spa_Latn", ("spa",)),
    "et": Language("est_Latn", ("est",)),
    "fa": Language("pes_Arab", ("fas", "pes")),
    "fi": Language("fin_Latn", ("fin",)),
    "fr": Language("fra_Latn", ("fra", "fre")),
    "ga": Language("gle_Latn", ("gle",)),
    "gl": Language("glg_Latn", ("glg",)),
    "gu": Language("guj_Gujr", ("guj",)),
    "he": Language("heb_Hebr", ("iw", "heb")),
    "hi": Language("hin_Deva", ("hin",)),
    "hr": Language("hrv_Latn", ("hrv",)),
    "hu": Language("hun_Latn", ("hun",)),
    "hy": Language("hye_Armn", ("hye",)),
    "id": Language("ind_Latn", ("ind",)),
    "is": Language("isl_Latn", ("isl",)),
    "it": Language("ita_Latn", ("ita",)),
    "ja": Language("jpn_Jpan", ("jpn", "jap")),
    "ka": Language("kat_Geor", ("kat",)),
    "kk": Language("kaz_Cyrl", ("kaz_Cyrl", "kaz")),
    "km": Language("khm_Khmr", ("khm",)),
    "ko": Language("kor_Hang", ("kor_Hang", "kor")),
    "lt": Language("lit_Latn", ("lit",)),
    "lv": Language("lvs_Latn", ("lav", "lvs")),
    "mk": Language("mkd_Cyrl", ("mkd",)),
    "ml": Language("mal_Mlym", ("mal",)),
    "mn": Language("khk_Cyrl", ("mon", "khk")),
    "mr": Language("mar_Deva", ("mar",)),
    "ms": Language("zsm_Latn", ("zsm_Latn", "msa", "zsm")),
    "my": Language("mya_Mymr", ("mya_Mymr", "mya")),
    "ne": Language("npi_Deva", ("nep", "npi")),
    "nl": Language("nld_Latn", ("nld", "dut")),
    "no": Language("nob_Latn", ("nb", "nob", "nor")),
    "pl": Language("pol_Latn", ("pol",)),
    "pt": Language("por_Latn", ("por",)),
    "ro": Language("ron_Latn", ("ron", "rum")),
    "ru": Language("rus_Cyrl", ("rus",)),
    "sk": Language("slk_Latn", ("slk",)),
    "sl": Language("slv_Latn", ("slv",)),
    "sq": Language("als_Latn", ("sqi", "als")),
    "sr": Language("srp_Cyrl", ("srp_Cyrl", "srp")),
    "sv": Language("swe_Latn", ("swe",)),
    "sw": Language("swh_Latn", ("swa", "swh")),
    "ta": Language("tam_Taml", ("tam",)),
    "te": Language("tel_Telu", ("tel",)),
    "th": Language("tha_Thai", ("tha",)),
    "tl": Language("tgl_Latn", ("fil", "tgl_Latn", "tgl")),
    "tr": Language("tur_Latn", ("tur",)),
    "uk": Language("ukr_Cyrl", ("ukr",)),
    "ur": Language("urd_Arab", ("urd",)),
    "vi": Language("vie_Latn", ("vie",)),
    "zh": Language("zho_Hans", ("cmn_Hans", "zho_Hans", "cmn", "zho", "zh_cn")),
}
"""All of them; not every model knows each."""


def language(code: str) -> Language:
    """Return the language of an ISO 639-1 code.

    Raises:
        UserError: If it is not among those that can be translated.
    """
    if code not in LANGUAGES:
        raise UserError(f"There is no language {code} to translate; there are {', '.join(LANGUAGES)}.")
    return LANGUAGES[code]


def names_of(code: str) -> tuple[str, ...]:
    """Return all codes that a Marian or MADLAD-400 model may have for a language, the likeliest first."""
    return (code, *language(code).others)


def code_of(name: str | None) -> str | None:
    """Return our code of a language that a Marian model names, or None where the name is of a group or unknown."""
    return next((code for code in LANGUAGES if name in names_of(code)), None)
