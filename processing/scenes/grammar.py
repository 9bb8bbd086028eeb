"""Scenes in words: captions in six languages that say the same, and an English description that says everything.

Each language has a function that builds a noun phrase ("einer blauen Katze") and a function that writes the eight
sentence patterns of `scenes_content.MENTIONS`. `wrong_form` makes the main thing disagree with its article,
adjectives or measure word, as a bad translation would.
"""

import zlib
from dataclasses import astuple

from processing.scenes.content import Scene, pattern_of

from ..errors import UserError
from . import lexicon as words

LANGUAGES = ("en", "de", "fr", "cs", "zh", "ja")


def caption(scene: Scene, language: str, number: int) -> str:
    """Return caption `number` (0 to 4) of `scene` in `language`; captions of one number are translations.

    Every caption names the main thing and its colour. The scene and the number choose the sentence pattern and with
    it what else is said (see `scenes_content.pattern_of`).

    Raises:
        UserError: `language` is not in `LANGUAGES`, or `number` is not from 0 to 4.
    """
    return write(scene, language, pattern_of(scene, number))


def write(scene: Scene, language: str, pattern: str, wrong_form: bool = False) -> str:
    """Return `scene` as a sentence of `pattern`; `wrong_form` puts a grammatical error into the main thing.

    Where the wrong form happens to look like the right one (a French headline with an adjective that has only one
    form, for example), the sentence is the correct one.
    """
    if language not in _SENTENCES:
        raise UserError(f"Scenes have no captions in {language!r}; choose one of {list(LANGUAGES)}.")
    sentence = _SENTENCES[language](scene, pattern, wrong_form)
    return sentence[0].upper() + sentence[1:] + ("。" if language in ("zh", "ja") else ".")


def description(scene: Scene) -> str:
    """Return several English sentences that tell everything about `scene`, in one of three wordings."""
    main, second = f"{scene.colour} {scene.kind}", f"{scene.second_colour} {scene.second_kind}"
    place, second_place = words.EN_PLACE[scene.place], words.EN_PLACE[scene.second_place]
    background = words.EN_BACKGROUND[scene.background]
    light = "moon" if scene.background == "night" else "sun"
    clouds = ("are no clouds", "is one cloud", "are two clouds", "are three clouds")[scene.clouds]
    sky = f"The {light} is in the top {scene.light_side} corner, and there {clouds} in the sky."
    wordings = (
        f"A {scene.size} {main} is {place}, close to the viewer. Further back, {second_place}, there is a {second}. "
        f"The {scene.kind} is to the {scene.relation} of the {scene.second_kind}. The scene is set {background}.",
        f"The picture shows two things {background}: a {scene.size} {main} and a {second}. The {scene.kind} is in "
        f"front, {place} of the picture; the {scene.second_kind} is further back, {second_place}. So the {main} is to "
        f"the {scene.relation} of the {second}.",
        f"In this picture, taken {background}, a {second} is {second_place}. Nearer to the viewer and {place} there is "
        f"a {scene.size} {main}, so it is to the {scene.relation} of the {second}.",
    )
    chosen = wordings[zlib.crc32("|".join(map(str, astuple(scene))).encode()) // 8 % len(wordings)]
    return f"{chosen} {words.EN_SCENERY[scene.background]} {sky}"


def _english_thing(kind: str, colour: str = "", size: str = "", article: str = "a", wrong_form: bool = False) -> str:
    article = "an" if wrong_form and article == "a" else article
    return " ".join(word for word in (article, size, colour, kind) if word)


def _english(scene: Scene, pattern: str, wrong_form: bool) -> str:
    main = _english_thing(scene.kind, scene.colour, wrong_form=wrong_form)
    sized = _english_thing(scene.kind, scene.colour, scene.size, wrong_form=wrong_form)
    second = _english_thing(scene.second_kind, scene.second_colour)
    second_kind = _english_thing(scene.second_kind)
    place, second_place = words.EN_PLACE[scene.place], words.EN_PLACE[scene.second_place]
    background = words.EN_BACKGROUND[scene.background]
    sentences = {
        "relation": f"{main} is to the {scene.relation} of {second}",
        "headline": f"{scene.colour} {scene.kind} and {scene.second_colour} {scene.second_kind} {background}",
        "view": f"{place} of the picture you can see {sized} {background}",
        "in_front": f"{sized} in front of {second_kind} {background}",
        "both_sides": f"the picture shows {main} {place} and {second} {second_place}",
        "behind": f"behind {sized} there is {second}",
        "spot": f"{background}, {sized} can be seen {place} of the picture",
        "definite": f"the {scene.colour} {scene.kind} is {place} of the picture, and {second_kind} is {second_place}",
    }
    return sentences[pattern]


def _german_thing(
    case: str, kind: str, colour: str = "", size: str = "", article: str = "ein", wrong_form: bool = False
) -> str:
    noun, gender = words.DE_NOUN[kind]
    if wrong_form:
        gender = "m" if gender == "f" else "f"
    article, ending = words.DE_FORMS[article, case][gender]
    adjectives = (words.DE_ADJECTIVE[adjective] + ending for adjective in (size, colour) if adjective)
    return " ".join((*article.split(), *adjectives, noun))


def _german(scene: Scene, pattern: str, wrong_form: bool) -> str:
    def main(case: str, size: str = "", article: str = "ein") -> str:
        return _german_thing(case, scene.kind, scene.colour, size, article, wrong_form)

    def second(case: str, article: str = "ein") -> str:
        return _german_thing(case, scene.second_kind, scene.second_colour, article=article)

    place, second_place = words.DE_PLACE[scene.place], words.DE_PLACE[scene.second_place]
    place_in_picture = words.DE_PLACE_IN_PICTURE[scene.place]
    background = words.DE_BACKGROUND[scene.background]
    relation = words.DE_PLACE[scene.relation]
    nominative, accusative, dative = "nominative", "accusative", "dative"
    sentences = {
        "relation": f"{main(nominative)} ist {relation} neben {second(dative)}",
        "headline": f"{main(nominative, article='')} und {second(nominative, article='')} {background}",
        "view": f"{place_in_picture} sieht man {main(accusative, scene.size)} {background}",
        "in_front": f"{main(nominative, scene.size)} vor {_german_thing(dative, scene.second_kind)} {background}",
        "both_sides": f"das Bild zeigt {place} {main(accusative)} und {second_place} {second(accusative)}",
        "behind": f"hinter {main(dative, scene.size)} ist {second(nominative)}",
        "spot": f"{background} ist {place_in_picture} {main(nominative, scene.size)} zu sehen",
        "definite": f"{main(nominative, article='der')} ist {place_in_picture}, und {second_place} ist "
        f"{_german_thing(nominative, scene.second_kind)}",
    }
    return sentences[pattern]


def _french_thing(kind: str, colour: str = "", size: str = "", article: str = "un", wrong_form: bool = False) -> str:
    noun, gender = words.FR_NOUN[kind]
    if wrong_form:
        gender = "m" if gender == "f" else "f"
    # A size stands before its noun, a colour after it.
    before = words.FR_ADJECTIVE[size][gender] if size else ""
    after = words.FR_ADJECTIVE[colour][gender] if colour else ""
    article = {"un": {"m": "un", "f": "une"}, "le": {"m": "le", "f": "la"}, "": {"m": "", "f": ""}}[article][gender]
    phrase = " ".join(word for word in (before, noun, after) if word)
    if article == "le" and phrase[0] in "ao":
        return "l'" + phrase
    return f"{article} {phrase}" if article else phrase


def _french(scene: Scene, pattern: str, wrong_form: bool) -> str:
    main = _french_thing(scene.kind, scene.colour, wrong_form=wrong_form)
    sized = _french_thing(scene.kind, scene.colour, scene.size, wrong_form=wrong_form)
    bare = _french_thing(scene.kind, scene.colour, article="", wrong_form=wrong_form)
    definite = _french_thing(scene.kind, scene.colour, article="le", wrong_form=wrong_form)
    second = _french_thing(scene.second_kind, scene.second_colour)
    second_bare = _french_thing(scene.second_kind, scene.second_colour, article="")
    second_kind = _french_thing(scene.second_kind)
    place, second_place = words.FR_PLACE[scene.place], words.FR_PLACE[scene.second_place]
    background = words.FR_BACKGROUND[scene.background]
    sentences = {
        "relation": f"{main} se trouve {words.FR_PLACE[scene.relation]} d'{second}",
        "headline": f"{bare} et {second_bare} {background}",
        "view": f"{place} de l'image, on voit {sized} {background}",
        "in_front": f"{sized} devant {second_kind} {background}",
        "both_sides": f"l'image montre {main} {place} et {second} {second_place}",
        "behind": f"derrière {sized}, il y a {second}",
        "spot": f"{background}, on aperçoit {sized} {place} de l'image",
        "definite": f"{definite} est {place} de l'image, et il y a {second_kind} {second_place}",
    }
    return sentences[pattern]


def _czech_thing(case: str, kind: str, colour: str = "", size: str = "", wrong_form: bool = False) -> str:
    forms, gender = words.CS_NOUN[kind]
    if wrong_form:
        gender = "m" if gender == "f" else "f"
    position = words.CS_CASES.index(case)
    ending = words.CS_ENDING[gender][position]
    adjectives = (words.CS_ADJECTIVE[adjective] + ending for adjective in (size, colour) if adjective)
    return " ".join((*adjectives, forms[position]))


def _czech(scene: Scene, pattern: str, wrong_form: bool) -> str:
    def main(case: str, size: str = "") -> str:
        return _czech_thing(case, scene.kind, scene.colour, size, wrong_form)

    def second(case: str) -> str:
        return _czech_thing(case, scene.second_kind, scene.second_colour)

    def second_kind(case: str) -> str:
        return _czech_thing(case, scene.second_kind)

    place, second_place = words.CS_PLACE[scene.place], words.CS_PLACE[scene.second_place]
    place_in_picture = words.CS_PLACE_IN_PICTURE[scene.place]
    background = words.CS_BACKGROUND[scene.background]
    nominative, genitive, accusative, instrumental = words.CS_CASES
    sentences = {
        "relation": f"{main(nominative)} je {words.CS_PLACE[scene.relation]} od {second(genitive)}",
        "headline": f"{main(nominative)} a {second(nominative)} {background}",
        "view": f"{place_in_picture} vidíme {main(accusative, scene.size)} {background}",
        "in_front": f"{main(nominative, scene.size)} před {second_kind(instrumental)} {background}",
        "both_sides": f"obrázek ukazuje {place} {main(accusative)} a {second_place} {second(accusative)}",
        "behind": f"za {main(instrumental, scene.size)} je {second(nominative)}",
        "spot": f"{background} je {place_in_picture} {main(nominative, scene.size)}",
        "definite": f"{main(nominative)} je {place_in_picture} a {second_place} je {second_kind(nominative)}",
    }
    return sentences[pattern]


def _chinese_thing(kind: str, colour: str = "", size: str = "", number: str = "一", wrong_form: bool = False) -> str:
    noun, measure_word = words.ZH_NOUN[kind]
    if wrong_form:
        measure_word = "个" if measure_word != "个" else "只"
    coloured = words.ZH_COLOUR[colour] + "的" if colour else ""
    return number + measure_word + coloured + words.ZH_SIZE[size] + noun


def _chinese(scene: Scene, pattern: str, wrong_form: bool) -> str:
    main = _chinese_thing(scene.kind, scene.colour, wrong_form=wrong_form)
    sized = _chinese_thing(scene.kind, scene.colour, scene.size, wrong_form=wrong_form)
    this = _chinese_thing(scene.kind, scene.colour, number="这", wrong_form=wrong_form)
    second = _chinese_thing(scene.second_kind, scene.second_colour)
    second_kind = _chinese_thing(scene.second_kind)
    place, second_place = words.ZH_PLACE[scene.place], words.ZH_PLACE[scene.second_place]
    background = words.ZH_BACKGROUND[scene.background]
    sentences = {
        "relation": f"{main}在{second}的{words.ZH_PLACE[scene.relation]}",
        "headline": f"{background}的{main}和{second}",
        "view": f"画面{place}可以看到{background}的{sized}",
        "in_front": f"{background}，{sized}在{second_kind}前面",
        "both_sides": f"图片{place}是{main}，{second_place}是{second}",
        "behind": f"{sized}后面有{second}",
        "spot": f"{background}，画面{place}有{sized}",
        "definite": f"{this}在画面{place}，{second_place}有{second_kind}",
    }
    return sentences[pattern]


def _japanese_thing(kind: str, colour: str = "", size: str = "", wrong_form: bool = False) -> str:
    coloured = words.JA_COLOUR[colour] if colour else ""
    if wrong_form:
        coloured = coloured[:-1] + "な"
    return words.JA_SIZE[size] + coloured + words.JA_NOUN[kind]


def _japanese(scene: Scene, pattern: str, wrong_form: bool) -> str:
    main = _japanese_thing(scene.kind, scene.colour, wrong_form=wrong_form)
    sized = _japanese_thing(scene.kind, scene.colour, scene.size, wrong_form=wrong_form)
    second = _japanese_thing(scene.second_kind, scene.second_colour)
    second_kind = _japanese_thing(scene.second_kind)
    place, second_place = words.JA_PLACE[scene.place], words.JA_PLACE[scene.second_place]
    background = words.JA_BACKGROUND[scene.background]
    main_is, main_being = ("います", "いて") if scene.kind in words.JA_ANIMATE else ("あります", "あって")
    second_is = "います" if scene.second_kind in words.JA_ANIMATE else "あります"
    sentences = {
        "relation": f"{main}が{second}の{words.JA_PLACE[scene.relation]}に{main_is}",
        "headline": f"{background}の{main}と{second}",
        "view": f"画面の{place}に、{background}の{sized}が見えます",
        "in_front": f"場面は{background}で、{second_kind}の前に{sized}が{main_is}",
        "both_sides": f"絵の{place}には{main}、{second_place}には{second}が見えます",
        "behind": f"{sized}の後ろに{second}が{second_is}",
        "spot": f"場面は{background}で、画面の{place}に{sized}が{main_is}",
        "definite": f"その{main}は画面の{place}に{main_being}、{second_place}には{second_kind}が{second_is}",
    }
    return sentences[pattern]


_SENTENCES = {"en": _english, "de": _german, "fr": _french, "cs": _czech, "zh": _chinese, "ja": _japanese}
