"""Noisy translations: how often, and which errors."""

from random import Random

import pytest

from processing.scenes.build import sample_scenes
from processing.scenes.content import pattern_of
from processing.scenes.grammar import LANGUAGES, caption, write
from processing.scenes.noise import noisy_translation

SCENES = sample_scenes({"train": 200}, seed=3)["train"]
TARGET_LANGUAGES = LANGUAGES[1:]


def _translations(noise_rate: float, seed: int = 0) -> list[tuple[str, str, str]]:
    """(correct, noisy, language) for five captions of each scene in the five target languages."""
    random = Random(seed)
    return [
        (caption(scene, language, number), noisy_translation(scene, language, number, noise_rate, random), language)
        for scene in SCENES
        for language in TARGET_LANGUAGES
        for number in range(5)
    ]


@pytest.mark.parametrize("noise_rate", [0.1, 0.3, 0.8])
def test_the_share_of_touched_captions_is_the_noise_rate(noise_rate):
    translations = _translations(noise_rate)
    share = sum(correct != noisy for correct, noisy, _ in translations) / len(translations)
    # Four standard deviations of 5000 independent draws.
    assert share == pytest.approx(noise_rate, abs=4 * (noise_rate * (1 - noise_rate) / 5000) ** 0.5)


def test_without_noise_translations_are_correct():
    assert all(correct == noisy for correct, noisy, _ in _translations(0))


def test_at_rate_one_every_caption_is_touched_and_stays_a_sentence():
    for correct, noisy, language in _translations(1):
        assert noisy != correct
        assert noisy.endswith("。" if language in ("zh", "ja") else ".")
        assert noisy[0].isalpha() and noisy[0] == noisy[0].upper()


def test_all_three_errors_occur_in_every_language():
    random = Random(0)
    for language in TARGET_LANGUAGES:
        counts = {"wrong form": 0, "dropped word": 0, "wrong word": 0}
        for scene in SCENES:
            correct = caption(scene, language, 0)
            noisy = noisy_translation(scene, language, 0, 1.0, random)
            if noisy == write(scene, language, pattern_of(scene, 0), wrong_form=True):
                counts["wrong form"] += 1
            elif len(noisy) < len(correct) and _is_shortened(correct, noisy):
                counts["dropped word"] += 1
            else:
                counts["wrong word"] += 1
        # A third of 200 each; some French forms fall back on a wrong word, and a wrong word can look like a drop.
        assert min(counts.values()) > 35, (language, counts)


def _is_shortened(correct: str, noisy: str) -> bool:
    """Whether `noisy` is `correct` with letters left out (and perhaps a new capital)."""
    letters = iter(correct.lower())
    return all(letter in letters for letter in noisy.lower())


def test_equal_generators_give_equal_noise():
    assert _translations(0.5, seed=7) == _translations(0.5, seed=7)
    assert _translations(0.5, seed=7) != _translations(0.5, seed=8)
