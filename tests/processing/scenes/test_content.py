"""What scenes consist of and what their captions say."""

from dataclasses import replace

import pytest

from processing.scenes.content import (
    COLOURS,
    HELD_OUT_PAIRS,
    KINDS,
    MENTIONS,
    PATTERNS,
    Scene,
    caption_is_true_of,
    pattern_of,
    unique_caption_share,
)

DOG_AND_BOAT = Scene("dog", "red", "left", "big", "boat", "green", "right", "beach", "left", 2)


def _number_with(pattern: str, scene: Scene) -> int | None:
    return next((number for number in range(5) if pattern_of(scene, number) == pattern), None)


def _scene_with(pattern: str) -> tuple[Scene, int]:
    """A variant of the example, different only in what captions never say, that has a caption of `pattern`."""
    for light_side in ("left", "right"):
        for clouds in range(4):
            scene = replace(DOG_AND_BOAT, light_side=light_side, clouds=clouds)
            number = _number_with(pattern, scene)
            if number is not None:
                return scene, number
    raise AssertionError(f"No variant has a caption of the pattern {pattern}.")


def test_two_colours_of_each_thing_are_held_out_and_no_colour_more_than_three_times():
    assert [sum(pair[0] == kind for pair in HELD_OUT_PAIRS) for kind in KINDS] == [2] * 10
    assert {sum(pair[1] == colour for pair in HELD_OUT_PAIRS) for colour in COLOURS} == {2, 3}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": "pink"}, "colour cannot be 'pink'"),
        ({"clouds": 4}, "clouds cannot be 4"),
        ({"second_kind": "dog"}, "two different kinds"),
        ({"second_place": "left"}, "two different places"),
    ],
)
def test_an_impossible_scene_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(DOG_AND_BOAT, **change)


@pytest.mark.parametrize(
    ("place", "second_place", "relation"),
    [("left", "middle", "left"), ("middle", "left", "right"), ("right", "left", "right"), ("middle", "right", "left")],
)
def test_the_relation_follows_from_the_places(place, second_place, relation):
    assert replace(DOG_AND_BOAT, place=place, second_place=second_place).relation == relation


def test_the_captions_of_a_scene_have_five_patterns_and_other_scenes_have_others():
    patterns = [pattern_of(DOG_AND_BOAT, number) for number in range(5)]
    assert len(set(patterns)) == 5
    assert {pattern_of(replace(DOG_AND_BOAT, colour=colour), 0) for colour in COLOURS} != {patterns[0]}


@pytest.mark.parametrize("number", [-1, 5])
def test_a_caption_number_that_does_not_exist_is_refused(number):
    with pytest.raises(ValueError, match="captions 0 to 4"):
        pattern_of(DOG_AND_BOAT, number)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_caption_is_true_of_scenes_that_differ_only_in_what_it_leaves_out(pattern):
    scene, number = _scene_with(pattern)
    changes = {
        "size": {"size": "small"},
        "second_kind": {"second_kind": "ball"},
        "second_colour": {"second_colour": "black"},
        "background": {"background": "snow"},
        "place": {"place": "middle"},
        "second_place": {"second_place": "middle"},
        "relation": {"place": "right", "second_place": "left"},
    }
    for attribute, change in changes.items():
        mentioned = attribute in MENTIONS[pattern]
        if attribute == "relation":
            mentioned = bool({"relation", "place", "second_place"} & set(MENTIONS[pattern]))
        assert caption_is_true_of(scene, number, replace(scene, **change)) is not mentioned, attribute
    assert not caption_is_true_of(scene, number, replace(scene, kind="cat"))
    assert not caption_is_true_of(scene, number, replace(scene, colour="blue"))


def test_a_caption_that_names_two_things_is_true_whichever_is_in_front_unless_it_says_so():
    swapped = Scene("boat", "green", "right", "big", "dog", "red", "left", "beach", "left", 2)
    for pattern, expected in {"relation": True, "headline": True, "both_sides": True, "behind": False}.items():
        scene, number = _scene_with(pattern)
        assert caption_is_true_of(scene, number, swapped) is expected, pattern


def test_the_unique_share_counts_captions_true_of_one_scene_only():
    other = Scene("fish", "black", "middle", "small", "tree", "white", "left", "night", "left", 0)
    assert unique_caption_share([DOG_AND_BOAT, other]) == 1
    assert unique_caption_share([DOG_AND_BOAT, replace(DOG_AND_BOAT, clouds=0)]) == 0
    assert unique_caption_share([DOG_AND_BOAT, replace(DOG_AND_BOAT, clouds=0), other]) == pytest.approx(1 / 3)
