"""The Scenes data set: splits, rows, determinism."""

import io
from dataclasses import asdict

import pytest
from datasets import DatasetDict, Image
from PIL import Image as PillowImage

from processing.scenes.build import (
    HELD_OUT_PAIRS,
    LANGUAGES,
    Scene,
    build_scenes,
    caption,
    description,
    draw_scene,
    example_queries,
    sample_scenes,
    unique_caption_share,
)
from processing.scenes.content import MENTIONS, VALUES, pattern_of
from processing.schema import ROW_FEATURES

SPLITS = {"train": 120, "validation": 20, "test": 20}
DEFAULT_SPLITS = {"train": 2000, "validation": 200, "test": 200}


def _build(**changes) -> DatasetDict:
    return build_scenes(**({"num_train": 120, "num_validation": 20, "num_test": 20} | changes))


def _raw(data: DatasetDict) -> dict[str, list[dict]]:
    """The rows with undecoded pictures."""
    return {split: data[split].cast_column("image", Image(decode=False)).to_list() for split in data}


@pytest.fixture(scope="module")
def built() -> DatasetDict:
    return _build()


@pytest.fixture(scope="module")
def drawn() -> dict[str, list[Scene]]:
    return sample_scenes(DEFAULT_SPLITS, seed=0)


def test_splits_have_the_row_schema_and_the_sizes_asked_for(built):
    assert {split: len(rows) for split, rows in built.items()} == SPLITS
    assert all(rows.features == ROW_FEATURES for rows in built.values())
    identifiers = [identifier for rows in built.values() for identifier in rows["id"]]
    assert len(set(identifiers)) == sum(SPLITS.values())


def test_equal_seeds_give_equal_bytes_and_other_seeds_others(built):
    assert _raw(_build()) == _raw(built)
    assert _raw(_build(seed=1))["test"] != _raw(built)["test"]


def test_rows_show_the_sampled_scenes(built):
    raw = _raw(built)
    for split, scenes in sample_scenes(SPLITS, seed=0).items():
        for row, scene in zip(raw[split], scenes, strict=True):
            picture = PillowImage.open(io.BytesIO(row["image"]["bytes"]))
            assert picture.format == "PNG"
            assert picture.tobytes() == draw_scene(scene).tobytes()
            assert row["source_language"] == "en"
            assert row["source_captions"] == [caption(scene, "en", number) for number in range(5)]
            assert row["description"] == description(scene)


def test_training_captions_are_noisy_translations_aligned_with_their_source(built):
    touched = total = 0
    for row, scene in zip(_raw(built)["train"], sample_scenes(SPLITS, seed=0)["train"], strict=True):
        targets = row["target_captions"]
        keys = [(target["language"], target["source_number"]) for target in targets]
        assert keys == [(language, number) for language in LANGUAGES[1:] for number in range(5)]
        assert {(target["origin"], target["weight"]) for target in targets} == {("machine:scenes", None)}
        for target in targets:
            touched += target["text"] != caption(scene, target["language"], target["source_number"])
            total += 1
    assert touched / total == pytest.approx(0.3, abs=0.04)


def test_without_noise_training_captions_are_correct():
    rows = _build(noise_rate=0)["train"]
    for row, scene in zip(rows, sample_scenes(SPLITS, seed=0)["train"], strict=True):
        for target in row["target_captions"]:
            assert target["text"] == caption(scene, target["language"], target["source_number"])


@pytest.mark.parametrize("split", ["validation", "test"])
def test_evaluation_captions_are_clean_and_independent(built, split):
    for row, scene in zip(built[split], sample_scenes(SPLITS, seed=0)[split], strict=True):
        clean = [
            {"language": language, "text": caption(scene, language, number), "source_number": None}
            | {"origin": "human", "weight": None}
            for language in LANGUAGES[1:]
            for number in range(5)
        ]
        assert row["target_captions"] == clean


def test_no_scene_and_no_picture_occurs_twice(drawn):
    scenes = [scene for split in drawn.values() for scene in split]
    assert len(set(scenes)) == len(scenes) == 2400
    assert len({draw_scene(scene).tobytes() for scene in drawn["test"]}) == 200


def test_training_shows_every_value_but_no_held_out_pair(drawn):
    for attribute, values in VALUES.items():
        assert {getattr(scene, attribute) for scene in drawn["train"]} == set(values)
    for scene in drawn["train"]:
        assert (scene.kind, scene.colour) not in HELD_OUT_PAIRS
        assert (scene.second_kind, scene.second_colour) not in HELD_OUT_PAIRS


@pytest.mark.parametrize("split", ["validation", "test"])
def test_evaluation_shows_all_held_out_pairs_and_only_these_as_the_main_thing(drawn, split):
    assert {(scene.kind, scene.colour) for scene in drawn[split]} == HELD_OUT_PAIRS
    for attribute, values in VALUES.items():
        assert {getattr(scene, attribute) for scene in drawn[split]} == set(values)


def test_the_documented_share_of_captions_that_are_true_of_one_scene_only(drawn):
    assert unique_caption_share(drawn["test"]) == pytest.approx(0.873, abs=0.0005)
    assert unique_caption_share(drawn["validation"]) == pytest.approx(0.880, abs=0.0005)


def test_a_share_of_the_descriptions_is_left_out_and_nothing_else_changes(built):
    fewer = _raw(_build(description_share=0.5))
    for split, rows in _raw(built).items():
        assert [row | {"description": None} for row in fewer[split]] == [row | {"description": None} for row in rows]
    kept = [row["description"] is not None for row in fewer["train"]]
    assert 0.3 < sum(kept) / len(kept) < 0.7
    nothing = _build(description_share=0)
    assert {text for rows in nothing.values() for text in rows["description"]} == {None}


def test_a_split_may_be_empty_and_pictures_of_another_size():
    data = build_scenes(num_train=2, num_validation=0, num_test=0, size=32)
    assert {split: len(rows) for split, rows in data.items()} == {"train": 2, "validation": 0, "test": 0}
    assert data["validation"].features == ROW_FEATURES
    assert data["train"][0]["image"].size == (32, 32)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"noise_rate": 1.5}, "noise_rate is a share between 0 and 1, so it cannot be 1.5"),
        ({"description_share": -0.1}, "description_share is a share between 0 and 1"),
        ({"num_test": -1}, "The test split cannot have -1 scenes"),
        ({"size": 4}, "at least 16"),
    ],
)
def test_impossible_arguments_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        _build(**wrong)


def test_example_queries_say_the_same_in_every_language_and_as_much_as_any_caption():
    scene = Scene("dog", "white", "left", "small", "boat", "green", "right", "beach", "left", 2)
    queries = example_queries(scene)
    assert tuple(queries) == LANGUAGES
    english = [caption(scene, "en", number) for number in range(5)]
    number = english.index(queries["en"])
    assert queries == {language: caption(scene, language, number) for language in LANGUAGES}
    mentions = [len(MENTIONS[pattern_of(scene, other)]) for other in range(5)]
    assert mentions[number] == max(mentions)
    assert asdict(scene)["colour"] in queries["en"]
