"""Pictures show every attribute of their scene."""

from dataclasses import replace

import numpy as np
import pytest

from processing.scenes.content import BACKGROUNDS, COLOURS, KINDS, PLACES, SIZES, Scene
from processing.scenes.drawing import draw_scene
from processing.scenes.things import PAINT

DOG_AND_BOAT = Scene("dog", "red", "left", "big", "boat", "green", "right", "beach", "left", 2)


def _pixels(scene: Scene, size: int = 64) -> np.ndarray:
    return np.asarray(draw_scene(scene, size)).astype(int)


def _changed(one: Scene, other: Scene) -> np.ndarray:
    """Where two pictures differ visibly: (64, 64) of bool."""
    return np.abs(_pixels(one) - _pixels(other)).max(axis=-1) > 24


@pytest.mark.parametrize("size", [16, 48, 64, 100])
def test_pictures_are_rgb_of_the_size_asked_for(size):
    picture = draw_scene(DOG_AND_BOAT, size)
    assert picture.mode == "RGB" and picture.size == (size, size)


def test_too_small_a_picture_is_refused():
    with pytest.raises(ValueError, match="at least 16"):
        draw_scene(DOG_AND_BOAT, 15)


def test_drawing_twice_gives_equal_pictures_and_the_first_may_be_painted_over():
    first = draw_scene(DOG_AND_BOAT)
    expected = first.tobytes()
    first.paste((0, 0, 0), (0, 0, 64, 64))
    assert draw_scene(DOG_AND_BOAT).tobytes() == expected


@pytest.mark.parametrize(
    ("attribute", "values"),
    [
        ("kind", [kind for kind in KINDS if kind != "boat"]),
        ("colour", COLOURS),
        ("place", ["left", "middle"]),
        ("size", SIZES),
        ("second_kind", [kind for kind in KINDS if kind != "dog"]),
        ("second_colour", COLOURS),
        ("second_place", ["middle", "right"]),
        ("background", BACKGROUNDS),
        ("light_side", ["left", "right"]),
        ("clouds", [0, 1, 2, 3]),
    ],
)
def test_every_value_of_every_attribute_looks_different(attribute, values):
    variants = [replace(DOG_AND_BOAT, **{attribute: value}) for value in values]
    for position, one in enumerate(variants):
        for other in variants[:position]:
            assert _changed(one, other).sum() > 20, (one, other)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("second_place", PLACES)
def test_the_things_never_overlap_and_stand_in_their_columns(place, second_place):
    if place == second_place:
        return
    for kind, second_kind in zip(KINDS, KINDS[1:] + KINDS[:1], strict=True):
        scene = Scene(kind, "red", place, "big", second_kind, "green", second_place, "meadow", "left", 0)
        main = _changed(scene, replace(scene, colour="blue"))
        second = _changed(scene, replace(scene, second_colour="blue"))
        assert main.any() and second.any()
        assert np.flatnonzero(second.any(axis=1)).max() < np.flatnonzero(main.any(axis=1)).min()
        assert _column(main) == place and _column(second) == second_place


def _column(area: np.ndarray) -> str:
    """The third of the picture that the centre of `area` is in."""
    columns = np.flatnonzero(area.any(axis=0))
    return PLACES[int((columns.min() + columns.max()) / 2 / (64 / 3))]


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("colour", COLOURS)
def test_every_colour_stands_out_from_every_background(background, colour):
    scene = Scene("ball", colour, "left", "big", "cat", "red", "right", background, "left", 0)
    pixels = _pixels(scene)[34:62, 1:29]
    of_the_colour = np.abs(pixels - PAINT[colour]).max(axis=-1) < 40
    assert of_the_colour.sum() > 150
    # Around the thing runs a dark line within a light one, whatever the colours.
    brightness = pixels.sum(axis=-1)
    column = brightness[:7, 14]
    assert column.max() > 500 and column.min() < 250


def test_a_big_thing_is_about_three_times_as_large_as_a_small_one():
    areas = {}
    for size in SIZES:
        scene = replace(DOG_AND_BOAT, size=size)
        areas[size] = _changed(scene, replace(scene, colour="blue")).sum()
    assert 2 < areas["big"] / areas["small"] < 4
