"""What a scene of the built-in data consists of, and what each of its captions says about it.

Nothing here depends on a language or on pixels: `scenes_grammar` puts a scene into words, `scenes_drawing`
into a picture.
"""

import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple, dataclass

KINDS = ("dog", "cat", "bird", "fish", "car", "boat", "house", "tree", "ball", "flower")
COLOURS = ("red", "blue", "green", "yellow", "white", "black", "brown", "purple")
PLACES = ("left", "middle", "right")
SIZES = ("big", "small")
BACKGROUNDS = ("beach", "snow", "forest", "meadow", "desert", "night")
LIGHT_SIDES = ("left", "right")
CLOUDS = (0, 1, 2, 3)

HELD_OUT_PAIRS = frozenset(
    (kind, COLOURS[(3 * position + shift) % len(COLOURS)]) for position, kind in enumerate(KINDS) for shift in (0, 4)
)
"""The (thing, colour) pairs, two for each thing and two or three for each colour, that no training scene shows and
that every validation and test scene has as its main thing. They do not depend on the seed, so that a model trained on
one build can be tested on another."""

NUM_CAPTIONS = 5
"""Captions of a scene in each language."""


@dataclass(frozen=True)
class Scene:
    """One scene: a main thing in front, a second thing further back in another column, and a background.

    The main thing is big or small; the second is always of the same medium size. `light_side` is the corner of the
    sun (at night, of the moon) and `clouds` the number of clouds: the picture and the description show them, the
    captions never mention them.

    Raises:
        ValueError: A value is not among those that the constants of this module list, both things are of one kind,
            or both are in one place.
    """

    kind: str
    colour: str
    place: str
    size: str
    second_kind: str
    second_colour: str
    second_place: str
    background: str
    light_side: str
    clouds: int

    def __post_init__(self) -> None:
        for attribute, values in VALUES.items():
            value = getattr(self, attribute)
            if value not in values:
                raise ValueError(f"A scene's {attribute} cannot be {value!r}; choose one of {list(values)}.")
        if self.kind == self.second_kind:
            raise ValueError(f"Both things of a scene are a {self.kind}; choose two different kinds.")
        if self.place == self.second_place:
            raise ValueError(f"Both things of a scene have the place {self.place!r}; choose two different places.")

    @property
    def relation(self) -> str:
        """`"left"` or `"right"`: on which side of the second thing the main thing is."""
        return "left" if PLACES.index(self.place) < PLACES.index(self.second_place) else "right"


VALUES: dict[str, Sequence[str] | Sequence[int]] = {
    "kind": KINDS,
    "colour": COLOURS,
    "place": PLACES,
    "size": SIZES,
    "second_kind": KINDS,
    "second_colour": COLOURS,
    "second_place": PLACES,
    "background": BACKGROUNDS,
    "light_side": LIGHT_SIDES,
    "clouds": CLOUDS,
}
"""The values that each attribute of a scene can take."""

MENTIONS: dict[str, tuple[str, ...]] = {
    "relation": ("relation", "second_kind", "second_colour"),
    "headline": ("second_kind", "second_colour", "background"),
    "view": ("size", "place", "background"),
    "in_front": ("depth", "size", "second_kind", "background"),
    "both_sides": ("place", "second_kind", "second_colour", "second_place"),
    "behind": ("depth", "size", "second_kind", "second_colour"),
    "spot": ("size", "place", "background"),
    "definite": ("place", "second_kind", "second_place"),
}
"""The sentence patterns, and what a caption of each pattern says besides the main thing and its colour."""

PATTERNS = tuple(MENTIONS)


def pattern_of(scene: Scene, number: int) -> str:
    """Return the sentence pattern of caption `number` of `scene`, the same in every language.

    The captions of a scene have five different patterns out of eight; which five differs from scene to scene.

    Raises:
        ValueError: `number` is not from 0 to 4.
    """
    if number not in range(NUM_CAPTIONS):
        raise ValueError(f"A scene has the captions 0 to {NUM_CAPTIONS - 1}, so there is no caption {number}.")
    start = zlib.crc32("|".join(map(str, astuple(scene))).encode())
    return PATTERNS[(start + 3 * number) % len(PATTERNS)]


def _facts(scene: Scene, swapped: bool) -> dict[str, str]:
    """Return what can be said of `scene` with its main thing, or when `swapped` its second thing, named first."""
    first = {"kind": scene.kind, "colour": scene.colour, "place": scene.place}
    second = {"kind": scene.second_kind, "colour": scene.second_colour, "place": scene.second_place}
    size, relation, depth = scene.size, scene.relation, "front"
    if swapped:
        first, second = second, first
        size, relation, depth = "medium", {"left": "right", "right": "left"}[relation], "back"
    other = {f"second_{attribute}": value for attribute, value in second.items()}
    return first | other | {"size": size, "relation": relation, "depth": depth, "background": scene.background}


def _statements(scene: Scene, pattern: str) -> set[tuple[str, ...]]:
    """Return what sentences of `pattern` can truly say of `scene`, naming the one or the other thing first."""
    mentioned = ("kind", "colour", *MENTIONS[pattern])
    return {tuple(_facts(scene, swapped)[attribute] for attribute in mentioned) for swapped in (False, True)}


def _statement(scene: Scene, pattern: str) -> tuple[str, ...]:
    """Return what the caption of `pattern` says of `scene`."""
    return tuple(_facts(scene, swapped=False)[attribute] for attribute in ("kind", "colour", *MENTIONS[pattern]))


def caption_is_true_of(scene: Scene, number: int, other: Scene) -> bool:
    """Whether caption `number` of `scene` is also true of `other`, whichever of its things is in front."""
    pattern = pattern_of(scene, number)
    return _statement(scene, pattern) in _statements(other, pattern)


def count_true_scenes(scenes: Sequence[Scene]) -> list[int]:
    """Return for each caption of each of `scenes`, in order, of how many of `scenes` it is true (at least 1)."""
    true_of = {
        pattern: Counter(statement for scene in scenes for statement in _statements(scene, pattern))
        for pattern in PATTERNS
    }
    return [
        true_of[pattern][_statement(scene, pattern)]
        for scene in scenes
        for pattern in (pattern_of(scene, number) for number in range(NUM_CAPTIONS))
    ]


def unique_caption_share(scenes: Sequence[Scene]) -> float:
    """Return the share of all captions of `scenes` that are true of exactly one of them.

    A perfect retriever finds at least this share of the pictures with its first answer.

    Raises:
        ValueError: There are no scenes.
    """
    counts = count_true_scenes(scenes)
    if not counts:
        raise ValueError("Without scenes there are no captions to count; give at least one scene.")
    return sum(count == 1 for count in counts) / len(counts)
