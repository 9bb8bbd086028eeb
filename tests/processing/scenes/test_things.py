"""The ten things: recognisable by shape alone and by colour alone."""

import itertools

import numpy as np
import pytest
from PIL import Image

from processing.scenes.content import COLOURS, KINDS
from processing.scenes.things import PAINT, SHADE, THINGS, Pencil


def _thing(kind: str, colour: str) -> np.ndarray:
    image = Image.new("RGBA", (100, 100))
    THINGS[kind](Pencil(image, 1), PAINT[colour], SHADE[colour])
    return np.asarray(image)


def test_every_kind_can_be_drawn_in_every_colour():
    assert tuple(THINGS) == KINDS
    assert tuple(PAINT) == tuple(SHADE) == COLOURS


@pytest.mark.parametrize("kind", KINDS)
def test_the_shape_is_the_same_in_every_colour_and_mostly_of_that_colour(kind):
    shape = _thing(kind, "red")[..., 3] > 0
    for colour in COLOURS:
        thing = _thing(kind, colour)
        assert np.array_equal(thing[..., 3] > 0, shape)
        painted = np.isin(thing[..., :3] @ [65536, 256, 1], [np.dot(c, [65536, 256, 1]) for c in _paints(colour)])
        assert (painted & shape).sum() > 0.5 * shape.sum()


def _paints(colour: str) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    return PAINT[colour], SHADE[colour]


def test_things_differ_in_shape():
    shapes = {kind: _thing(kind, "red")[..., 3] > 0 for kind in KINDS}
    for one, other in itertools.combinations(KINDS, 2):
        common = (shapes[one] & shapes[other]).sum() / (shapes[one] | shapes[other]).sum()
        assert common < 0.8, (one, other)


def test_colours_are_far_apart():
    for one, other in itertools.combinations(COLOURS, 2):
        assert np.linalg.norm(np.subtract(PAINT[one], PAINT[other])) > 80, (one, other)
