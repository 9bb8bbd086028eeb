"""Pictures of scenes, drawn with Pillow at four times their size and scaled down.

Things are drawn like stickers, with a dark outline inside a white one, so that every colour stands out from every
background. Landscapes are drawn in 64 by 64 units, y downwards.
"""

from collections.abc import Callable
from functools import lru_cache

from PIL import Image, ImageChops, ImageFilter

from processing.scenes.content import Scene
from processing.scenes.things import DARK, LIGHT, PAINT, RGB, SHADE, THINGS, Pencil

OVERSAMPLING = 4
CANVAS_UNITS = 64

# Side of a thing's square, centre of its column and ground line, in units of the canvas. The main thing stands in a
# separate row in front of the second thing, so that the two never overlap.
_MAIN_SIDE = {"big": 28.0, "small": 17.0}
_SECOND_SIDE = 20.0
_MAIN_GROUND, _SECOND_GROUND = 62.0, 32.5
_MAIN_COLUMN = {"left": 15.0, "middle": 32.0, "right": 49.0}
_SECOND_COLUMN = {"left": 11.0, "middle": 32.0, "right": 53.0}


def draw_scene(scene: Scene, size: int = 64) -> Image.Image:
    """Return the picture of `scene`: RGB, `size` by `size` pixels.

    Raises:
        ValueError: `size` is below 16 pixels, where things could no longer be told apart.
    """
    if size < 16:
        raise ValueError(f"A scene cannot be drawn {size} pixels wide; ask for at least 16.")
    picture = _background(scene.background, scene.light_side, scene.clouds, size).copy()
    unit = size * OVERSAMPLING / CANVAS_UNITS
    things = (
        (scene.second_kind, scene.second_colour, _SECOND_SIDE, _SECOND_COLUMN[scene.second_place], _SECOND_GROUND),
        (scene.kind, scene.colour, _MAIN_SIDE[scene.size], _MAIN_COLUMN[scene.place], _MAIN_GROUND),
    )
    for kind, colour, side, column, ground in things:
        sticker = _sticker(kind, colour, round(side * unit))
        corner = round(column * unit - sticker.width / 2), round(ground * unit - sticker.height)
        picture.paste(sticker, corner, sticker)
    return picture.resize((size, size), Image.Resampling.LANCZOS)


@lru_cache(maxsize=1024)
def _sticker(kind: str, colour: str, side: int) -> Image.Image:
    """Return a thing with its two outlines as an RGBA image of `side` by `side` pixels."""
    outline = max(1, round(side / 30))
    margin = 2 * outline + 1
    thing = Image.new("RGBA", (side, side))
    THINGS[kind](Pencil(thing, (side - 2 * margin) / 100, margin), PAINT[colour], SHADE[colour])
    inside = thing.getchannel("A")
    dark = inside.filter(ImageFilter.MaxFilter(2 * outline + 1))
    white = dark.filter(ImageFilter.MaxFilter(2 * outline + 1))
    sticker = Image.new("RGBA", (side, side), (*LIGHT, 0))
    sticker.putalpha(white)
    sticker.paste(Image.new("RGBA", (side, side), (*DARK, 255)), mask=ImageChops.subtract(dark, inside))
    sticker.paste(thing, mask=inside)
    return sticker


@lru_cache(maxsize=64)
def _background(name: str, light_side: str, clouds: int, size: int) -> Image.Image:
    """Return the landscape with its sun or moon and clouds, `OVERSAMPLING` times as large as the picture."""
    pixels = size * OVERSAMPLING
    sky, ground = _SKY_AND_GROUND[name]
    image = Image.new("RGB", (pixels, pixels), sky)
    pencil = Pencil(image, pixels / CANVAS_UNITS)
    pencil.box(ground, 0, 27, 65, 65)
    _LANDSCAPES[name](pencil)
    light_x, cloud_columns = (7, (57, 41, 24)) if light_side == "left" else (57, (7, 23, 40))
    pencil.disc((255, 214, 64) if name != "night" else (240, 240, 214), light_x, 6.5, 4.5)
    if name == "night":
        pencil.disc(sky, light_x + 2.4, 5.3, 3.8)
    for x in cloud_columns[:clouds]:
        _cloud(pencil, x, (250, 252, 255) if name != "night" else (126, 134, 168))
    return image


def _cloud(pencil: Pencil, x: float, fill: RGB) -> None:
    edge = (142, 160, 184)
    for dx, y, radius in ((-3.6, 7.6, 2.2), (0, 6, 3.2), (3.6, 7.6, 2.2)):
        pencil.disc(edge, x + dx, y, radius + 0.5)
    for dx, y, radius in ((-3.6, 7.6, 2.2), (0, 6, 3.2), (3.6, 7.6, 2.2)):
        pencil.disc(fill, x + dx, y, radius)


def _beach(pencil: Pencil) -> None:
    pencil.box((52, 140, 206), 0, 18, 65, 31)
    for x, y in ((4, 21), (20, 24), (34, 21), (48, 25), (56, 21)):
        pencil.line((160, 212, 240), 0.8, x, y, x + 5, y)
    pencil.ellipse((250, 250, 244), -10, 28, 74, 34)
    pencil.ellipse((244, 222, 164), -10, 29.2, 74, 40)
    for x, y in ((6, 40), (28, 36), (50, 38), (60, 46), (24, 60), (40, 50), (4, 56), (58, 60)):
        pencil.disc((218, 190, 124), x, y, 0.7)


def _snow(pencil: Pencil) -> None:
    pencil.polygon((134, 152, 180), 12, 28, 30, 11, 50, 28)
    pencil.polygon((250, 252, 255), 24, 16.7, 30, 11, 36.8, 16.7, 33, 18.5, 30, 16.5, 27, 19)
    pencil.ellipse((226, 236, 248), -14, 23, 44, 50)
    pencil.ellipse((238, 244, 252), 24, 25, 80, 56)
    for x, y in ((3, 16), (14, 13), (22, 20), (43, 14), (52, 20), (61, 15), (8, 36), (24, 44), (40, 36), (58, 42)):
        pencil.disc((255, 255, 255), x, y, 0.9)
    for x in (6, 26, 47):
        pencil.line((202, 216, 236), 1, x, 55, x + 8, 53.5, x + 14, 55)


def _forest(pencil: Pencil) -> None:
    for x, top, fill in (
        *((x, 15, (60, 108, 84)) for x in (0, 11, 22, 33, 44, 55, 65)),
        *((x, 12 + x % 3 * 2, (26, 78, 52)) for x in (5, 16, 28, 38, 50, 60)),
    ):
        pencil.box((78, 54, 36), x - 0.8, 27, x + 0.8, 33)
        for level in range(3):
            y = top + 5 * level
            pencil.polygon(fill, x, y, x - 4 - level, y + 8, x + 4 + level, y + 8)
    for x, y in ((6, 42), (20, 38), (34, 44), (48, 38), (58, 46), (12, 58), (30, 60), (52, 58)):
        pencil.line((64, 88, 44), 1, x - 1.5, y - 2, x, y, x + 1.5, y - 2)


def _meadow(pencil: Pencil) -> None:
    pencil.ellipse((150, 208, 104), -20, 20, 40, 60)
    pencil.ellipse((134, 200, 90), 20, 22, 90, 70)
    pencil.box((134, 204, 88), 0, 34, 65, 65)
    for number, (x, y) in enumerate(
        ((4, 38), (14, 34), (24, 40), (36, 36), (46, 40), (58, 36), (3, 50), (24, 54), (40, 58), (61, 52), (12, 61))
    ):
        pencil.disc(((255, 255, 255), (255, 232, 90), (250, 168, 200))[number % 3], x, y, 1)


def _desert(pencil: Pencil) -> None:
    pencil.ellipse((226, 160, 84), -16, 20, 36, 60)
    pencil.ellipse((214, 146, 72), 26, 22, 84, 66)
    pencil.ellipse((234, 172, 98), -30, 33, 94, 110)
    cactus = (72, 132, 74)
    pencil.line(cactus, 2, 21.5, 15, 21.5, 29)
    pencil.line(cactus, 1.4, 21.5, 24, 18.5, 24, 18.5, 19)
    pencil.line(cactus, 1.4, 21.5, 22, 24.2, 22, 24.2, 18)
    for y in (42, 50, 58):
        pencil.line((214, 148, 76), 0.9, 4, y, 18, y - 2, 32, y, 46, y - 2, 60, y)


def _night(pencil: Pencil) -> None:
    pencil.ellipse((40, 50, 92), -20, 22, 40, 60)
    pencil.ellipse((34, 44, 84), 20, 24, 90, 70)
    pencil.box((34, 44, 84), 0, 36, 65, 65)
    for x, y in ((3, 17), (12, 20), (22, 15), (33, 18), (43, 14), (54, 18), (61, 22), (16, 3), (32, 2), (48, 3)):
        pencil.disc((255, 250, 200), x, y, 0.7)


_SKY_AND_GROUND: dict[str, tuple[RGB, RGB]] = {
    "beach": ((150, 212, 246), (244, 222, 164)),
    "snow": ((186, 208, 230), (238, 244, 252)),
    "forest": ((168, 204, 190), (88, 118, 62)),
    "meadow": ((140, 206, 250), (134, 204, 88)),
    "desert": ((252, 216, 160), (234, 172, 98)),
    "night": ((22, 28, 66), (34, 44, 84)),
}
_LANDSCAPES: dict[str, Callable[[Pencil], None]] = {
    "beach": _beach,
    "snow": _snow,
    "forest": _forest,
    "meadow": _meadow,
    "desert": _desert,
    "night": _night,
}
