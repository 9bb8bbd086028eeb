"""Noisy "machine translations" of scene captions: a wrong word, a dropped word or a wrong form."""

from dataclasses import replace
from random import Random
from typing import Any

from processing.scenes.content import MENTIONS, PLACES, VALUES, Scene, pattern_of
from processing.scenes.grammar import caption, write

from . import lexicon as words

ERRORS = ("wrong word", "dropped word", "wrong form")

# Chinese and Japanese have no spaces, so what may be dropped there is listed.
_UNSPACED_WORDS = {
    "zh": (
        *(noun for noun, _ in words.ZH_NOUN.values()),
        *(colour + "的" for colour in words.ZH_COLOUR.values()),
        *words.ZH_BACKGROUND.values(),
        *words.ZH_PLACE.values(),
        "前面",
        "后面",
    ),
    "ja": (
        *words.JA_NOUN.values(),
        *words.JA_COLOUR.values(),
        *(background + "の" for background in words.JA_BACKGROUND.values()),
        *(place + "に" for place in words.JA_PLACE.values()),
        "大きな",
        "小さな",
    ),
}


def noisy_translation(scene: Scene, language: str, number: int, noise_rate: float, random: Random) -> str:
    """Return caption `number` of `scene` in `language`, with probability `noise_rate` with one error.

    The error is one of `ERRORS`, drawn from `random`: another value of something the caption mentions (still a
    correct sentence), a word left out, or the main thing in a wrong form. A touched caption always differs from the
    correct one.
    """
    if random.random() >= noise_rate:
        return caption(scene, language, number)
    return _with_error(scene, language, number, random.choice(ERRORS), random)


def _with_error(scene: Scene, language: str, number: int, error: str, random: Random) -> str:
    correct = caption(scene, language, number)
    if error == "wrong form":
        wrong = write(scene, language, pattern_of(scene, number), wrong_form=True)
        if wrong != correct:
            return wrong
    if error == "dropped word":
        return _drop_word(correct, language, random)
    return _with_wrong_word(scene, language, pattern_of(scene, number), random)


def _with_wrong_word(scene: Scene, language: str, pattern: str, random: Random) -> str:
    """Write `scene` with one mentioned attribute changed to another value."""
    attribute = random.choice(("kind", "colour", *(name for name in MENTIONS[pattern] if name != "depth")))
    if attribute in ("relation", "place", "second_place"):
        return write(_with_other_place(scene, attribute), language, pattern)
    taken = {getattr(scene, attribute)} | ({scene.kind, scene.second_kind} if "kind" in attribute else set())
    other = random.choice([value for value in VALUES[attribute] if value not in taken])
    changed: dict[str, Any] = {attribute: other}
    return write(replace(scene, **changed), language, pattern)


def _with_other_place(scene: Scene, attribute: str) -> Scene:
    if attribute == "relation":
        return replace(scene, place=scene.second_place, second_place=scene.place)
    (free,) = set(PLACES) - {scene.place, scene.second_place}
    return replace(scene, place=free) if attribute == "place" else replace(scene, second_place=free)


def _drop_word(text: str, language: str, random: Random) -> str:
    if language in _UNSPACED_WORDS:
        word = random.choice([word for word in _UNSPACED_WORDS[language] if word in text])
        return text.replace(word, "", 1).lstrip("，的")
    kept = text.rstrip(".").split()
    del kept[random.randrange(len(kept))]
    shorter = " ".join(kept)
    return shorter[0].upper() + shorter[1:] + "."
