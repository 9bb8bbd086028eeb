"""The built-in data, Scenes: small pictures drawn by the program, with captions in six languages and descriptions.

Nothing is downloaded. A scene shows a big or small main thing, a second thing further back, and a landscape. Its five
captions per language come from a grammar; the translations that training sees have errors at a stated rate; validation
and test captions are correct. The main thing of every validation and test scene has a colour in which no training
scene shows that thing.
"""

import io
from collections.abc import Iterator
from random import Random
from typing import Any

from datasets import Dataset, DatasetDict

from processing.scenes.content import (
    COLOURS,
    HELD_OUT_PAIRS,
    KINDS,
    MENTIONS,
    NUM_CAPTIONS,
    PLACES,
    VALUES,
    Scene,
    caption_is_true_of,
    pattern_of,
    unique_caption_share,
)
from processing.scenes.drawing import draw_scene
from processing.scenes.grammar import LANGUAGES, caption, description
from processing.scenes.noise import noisy_translation
from processing.schema import ORIGIN_HUMAN, ROW_FEATURES, machine_origin

__all__ = [
    "HELD_OUT_PAIRS",
    "LANGUAGES",
    "Scene",
    "build_scenes",
    "caption",
    "caption_is_true_of",
    "description",
    "draw_scene",
    "example_queries",
    "sample_scenes",
    "unique_caption_share",
]

SOURCE_LANGUAGE = "en"
TARGET_LANGUAGES = tuple(language for language in LANGUAGES if language != SOURCE_LANGUAGE)


def build_scenes(
    num_train: int = 2000,
    num_validation: int = 200,
    num_test: int = 200,
    size: int = 64,
    noise_rate: float = 0.3,
    description_share: float = 1.0,
    seed: int = 0,
) -> DatasetDict:
    """Build the splits `train`, `validation` and `test`; equal arguments give equal bytes.

    Each row has five English source captions and five captions in each of the five target languages. In training
    these are translations of origin `machine:scenes`, a share `noise_rate` of them with one error (see
    `scenes_noise`), and `source_number` is the position of the English caption. In validation and test they are
    correct, of origin `human` and without a source number; the source captions are the English queries.

    With the default arguments 87.3 % of the test captions are true of exactly one of the 200 test scenes (88.0 % in
    validation; 85 to 90 % with other seeds). So the best hit@1 from text to image that can be expected, with guessing
    between the pictures of which a caption is true, is 93.4 % on the test split.

    Args:
        num_train: Number of training scenes.
        num_validation: Number of validation scenes.
        num_test: Number of test scenes.
        size: Width and height of the pictures, in pixels.
        noise_rate: Share of the training translations that have an error.
        description_share: Share of the rows of each split that have a description; the others have null.
        seed: Seed of everything random.

    Raises:
        ValueError: A number of scenes is negative, a share is outside [0, 1], or `size` is below 16.
    """
    for name, share in (("noise_rate", noise_rate), ("description_share", description_share)):
        if not 0 <= share <= 1:
            raise ValueError(f"{name} is a share between 0 and 1, so it cannot be {share}.")
    splits = {"train": num_train, "validation": num_validation, "test": num_test}
    scenes = sample_scenes(splits, seed)
    built = DatasetDict()
    for split in splits:
        rows = list(_rows(split, scenes[split], size, noise_rate, description_share, seed))
        # By columns, since an empty split made from rows would lose its schema.
        columns = {name: [row[name] for row in rows] for name in ROW_FEATURES}
        built[split] = Dataset.from_dict(columns, features=ROW_FEATURES)
    return built


def sample_scenes(splits: dict[str, int], seed: int = 0) -> dict[str, list[Scene]]:
    """Draw the scenes of each split, no scene twice; `build_scenes` makes its rows of them in the same order.

    In the split named `train` no thing, main or second, has a colour that `HELD_OUT_PAIRS` withholds; in every
    other split the main thing has one, and the second thing any colour.

    Raises:
        ValueError: A number of scenes is negative.
    """
    random = Random(seed)
    seen: set[Scene] = set()
    drawn: dict[str, list[Scene]] = {}
    for split, count in splits.items():
        if count < 0:
            raise ValueError(f"The {split} split cannot have {count} scenes.")
        drawn[split] = []
        while len(drawn[split]) < count:
            scene = _random_scene(split == "train", random)
            if scene not in seen:
                seen.add(scene)
                drawn[split].append(scene)
    return drawn


def example_queries(scene: Scene) -> dict[str, str]:
    """Return one query per language for `scene`, all with the same content: its caption that says the most."""
    number = max(range(NUM_CAPTIONS), key=lambda number: len(MENTIONS[pattern_of(scene, number)]))
    return {language: caption(scene, language, number) for language in LANGUAGES}


_ALL_PAIRS = [(kind, colour) for kind in KINDS for colour in COLOURS]


def _random_scene(training: bool, random: Random) -> Scene:
    seen_pairs = [pair for pair in _ALL_PAIRS if pair not in HELD_OUT_PAIRS]
    kind, colour = random.choice(seen_pairs if training else sorted(HELD_OUT_PAIRS))
    others = [pair for pair in (seen_pairs if training else _ALL_PAIRS) if pair[0] != kind]
    second_kind, second_colour = random.choice(others)
    place, second_place = random.sample(PLACES, 2)
    drawn: dict[str, Any] = {
        "kind": kind,
        "colour": colour,
        "place": place,
        "second_kind": second_kind,
        "second_colour": second_colour,
        "second_place": second_place,
    }
    drawn |= {attribute: random.choice(values) for attribute, values in VALUES.items() if attribute not in drawn}
    return Scene(**drawn)


def _rows(
    split: str, scenes: list[Scene], size: int, noise_rate: float, description_share: float, seed: int
) -> Iterator[dict[str, Any]]:
    # Noise and descriptions draw from their own generators, so that changing a rate changes nothing else.
    noise, described = Random(f"{seed} {split} noise"), Random(f"{seed} {split} description")
    for position, scene in enumerate(scenes):
        targets = _noisy_targets(scene, noise_rate, noise) if split == "train" else _clean_targets(scene)
        yield {
            "id": f"scenes-{split}-{position:06d}",
            "image": {"bytes": _png(scene, size), "path": None},
            "video": None,
            "source_language": SOURCE_LANGUAGE,
            "source_captions": [caption(scene, SOURCE_LANGUAGE, number) for number in range(NUM_CAPTIONS)],
            "target_captions": targets,
            "description": description(scene) if described.random() < description_share else None,
        }


def _noisy_targets(scene: Scene, noise_rate: float, noise: Random) -> list[dict[str, Any]]:
    return [
        {
            "language": language,
            "text": noisy_translation(scene, language, number, noise_rate, noise),
            "source_number": number,
            "origin": machine_origin("scenes"),
            "weight": None,
        }
        for language in TARGET_LANGUAGES
        for number in range(NUM_CAPTIONS)
    ]


def _clean_targets(scene: Scene) -> list[dict[str, Any]]:
    return [
        {
            "language": language,
            "text": caption(scene, language, number),
            "source_number": None,
            "origin": ORIGIN_HUMAN,
            "weight": None,
        }
        for language in TARGET_LANGUAGES
        for number in range(NUM_CAPTIONS)
    ]


def _png(scene: Scene, size: int) -> bytes:
    stream = io.BytesIO()
    draw_scene(scene, size).save(stream, format="PNG")
    return stream.getvalue()
