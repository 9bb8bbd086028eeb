"""The ten things of the scenes, each drawn in any colour in a square of 100 by 100 units.

In these units y grows downwards and the ground is at 100.
"""

from collections.abc import Callable, Sequence

from PIL import Image, ImageDraw

RGB = tuple[int, int, int]

PAINT: dict[str, RGB] = {
    "red": (222, 40, 40),
    "blue": (36, 92, 220),
    "green": (44, 160, 62),
    "yellow": (252, 212, 36),
    "white": (250, 250, 250),
    "black": (38, 38, 42),
    "brown": (134, 82, 42),
    "purple": (150, 62, 190),
}
SHADE: dict[str, RGB] = {
    "red": (160, 22, 28),
    "blue": (20, 54, 150),
    "green": (24, 106, 40),
    "yellow": (208, 158, 14),
    "white": (204, 208, 216),
    "black": (84, 84, 94),
    "brown": (92, 54, 26),
    "purple": (102, 36, 136),
}
DARK, LIGHT, GLASS, ORANGE, TRUNK = (28, 28, 34), (255, 255, 255), (198, 228, 246), (244, 140, 30), (110, 72, 40)


class Pencil:
    """Draws on an image in its own units: `scale` pixels a unit, from `offset` pixels on."""

    def __init__(self, image: Image.Image, scale: float, offset: float = 0) -> None:
        self._draw = ImageDraw.Draw(image)
        self._scale = scale
        self._offset = offset

    def _pixels(self, values: Sequence[float]) -> list[float]:
        return [value * self._scale + self._offset for value in values]

    def polygon(self, fill: RGB, *points: float) -> None:
        """Fill the polygon with the corners x, y, x, y, ..."""
        self._draw.polygon(self._pixels(points), fill=fill)

    def ellipse(self, fill: RGB, left: float, top: float, right: float, bottom: float) -> None:
        """Fill the ellipse in the given rectangle."""
        self._draw.ellipse(self._pixels((left, top, right, bottom)), fill=fill)

    def disc(self, fill: RGB, x: float, y: float, radius: float) -> None:
        """Fill the circle around a centre."""
        self.ellipse(fill, x - radius, y - radius, x + radius, y + radius)

    def box(self, fill: RGB, left: float, top: float, right: float, bottom: float, radius: float = 0) -> None:
        """Fill a rectangle, its corners rounded by `radius`."""
        corners = self._pixels((left, top, right, bottom))
        self._draw.rounded_rectangle(corners, radius=radius * self._scale, fill=fill)

    def line(self, fill: RGB, width: float, *points: float) -> None:
        """Draw a line through the points x, y, x, y, ..."""
        self._draw.line(self._pixels(points), fill=fill, width=max(1, round(width * self._scale)), joint="curve")


def _dog(pencil: Pencil, paint: RGB, shade: RGB) -> None:
    pencil.line(paint, 8, 14, 58, 4, 32)
    for left, fill in ((20, shade), (58, shade), (11, paint), (49, paint)):
        pencil.box(fill, left, 62, left + 12, 100, 4)
    pencil.box(paint, 10, 46, 72, 76, 12)
    pencil.polygon(paint, 50, 50, 62, 20, 82, 30, 72, 66)
    pencil.box(paint, 56, 12, 88, 46, 13)
    pencil.box(paint, 72, 26, 100, 46, 8)
    pencil.polygon(shade, 56, 14, 68, 12, 66, 44, 54, 46)
    pencil.disc(LIGHT, 80, 24, 5)
    pencil.disc(DARK, 81, 24, 3)
    pencil.disc(DARK, 97, 30, 5)


def _cat(pencil: Pencil, paint: RGB, shade: RGB) -> None:
    pencil.line(paint, 9, 68, 92, 88, 88, 92, 66, 84, 54)
    pencil.ellipse(paint, 24, 48, 76, 100)
    pencil.polygon(paint, 20, 30, 22, 0, 46, 16)
    pencil.polygon(paint, 80, 30, 78, 0, 54, 16)
    pencil.ellipse(paint, 18, 12, 82, 60)
    pencil.ellipse(shade, 38, 66, 62, 98)
    for x in (37, 63):
        pencil.ellipse(LIGHT, x - 8, 26, x + 8, 42)
        pencil.ellipse(DARK, x - 3, 27, x + 3, 41)
    pencil.polygon(ORANGE, 45, 44, 55, 44, 50, 51)


def _bird(pencil: Pencil, paint: RGB, shade: RGB) -> None:
    for x in (44, 58):
        pencil.line(ORANGE, 4, x, 80, x, 98, x + 8, 98)
    pencil.polygon(paint, 24, 56, 0, 40, 4, 66, 26, 74)
    pencil.ellipse(paint, 14, 36, 80, 88)
    pencil.disc(paint, 70, 30, 20)
    pencil.polygon(ORANGE, 86, 22, 100, 32, 86, 38)
    pencil.polygon(shade, 26, 50, 60, 48, 50, 76, 34, 74)
    pencil.disc(LIGHT, 74, 26, 6)
    pencil.disc(DARK, 75, 26, 3.5)


def _fish(pencil: Pencil, paint: RGB, shade: RGB) -> None:
    pencil.polygon(shade, 38, 38, 54, 16, 68, 36)
    pencil.polygon(shade, 26, 60, 0, 34, 6, 60, 0, 88)
    pencil.ellipse(paint, 16, 32, 100, 90)
    pencil.polygon(shade, 46, 58, 60, 68, 44, 78)
    pencil.line(shade, 4, 70, 40, 66, 60, 70, 82)
    pencil.disc(LIGHT, 83, 54, 7)
    pencil.disc(DARK, 84, 54, 4)


def _car(pencil: Pencil, paint: RGB, shade: RGB) -> None:
    pencil.polygon(paint, 18, 56, 32, 26, 68, 26, 84, 56)
    pencil.box(paint, 0, 50, 100, 86, 10)
    pencil.polygon(GLASS, 28, 52, 37, 33, 48, 33, 48, 52)
    pencil.polygon(GLASS, 54, 52, 54, 33, 64, 33, 74, 52)
    pencil.box(shade, 0, 70, 100, 76)
    for x in (24, 76):
        pencil.disc(DARK, x, 85, 15)
        pencil.disc((190, 190, 198), x, 85, 7)


def _boat(pencil: Pencil, paint: RGB, shade: RGB) -> None:
    pencil.line(TRUNK, 5, 48, 4, 48, 74)
    pencil.polygon(paint, 52, 6, 92, 62, 52, 62)
    pencil.polygon(shade, 44, 16, 44, 62, 12, 62)
    pencil.polygon(paint, 0, 70, 100, 70, 82, 98, 18, 98)
    pencil.polygon(shade, 3, 74, 97, 74, 94, 80, 6, 80)


def _house(pencil: Pencil, paint: RGB, shade: RGB) -> None:
    pencil.box(shade, 70, 8, 82, 40)
    pencil.box(paint, 17, 42, 83, 100)
    pencil.polygon(shade, 0, 46, 50, 2, 100, 46)
    pencil.box(TRUNK, 42, 66, 60, 100)
    for left in (19, 66):
        pencil.box(LIGHT, left, 58, left + 16, 76)
        pencil.box(GLASS, left + 2, 60, left + 14, 74)


def _tree(pencil: Pencil, paint: RGB, shade: RGB) -> None:
    pencil.polygon(TRUNK, 42, 50, 58, 50, 63, 100, 37, 100)
    for x, y, radius in ((28, 48, 22), (72, 48, 22), (50, 28, 28), (50, 50, 24)):
        pencil.disc(paint, x, y, radius)
    for x, y in ((34, 30), (56, 18), (66, 46), (42, 54), (22, 50)):
        pencil.disc(shade, x, y, 5)


def _ball(pencil: Pencil, paint: RGB, shade: RGB) -> None:
    pencil.disc(paint, 50, 55, 44)
    pencil.line(shade, 5, 50, 11, 50, 99)
    pencil.line(shade, 5, 6, 55, 94, 55)
    pencil.line(shade, 5, 20, 24, 30, 38, 33, 55, 30, 72, 20, 86)
    pencil.line(shade, 5, 80, 24, 70, 38, 67, 55, 70, 72, 80, 86)


def _flower(pencil: Pencil, paint: RGB, shade: RGB) -> None:
    green = (62, 140, 66)
    pencil.line(green, 7, 50, 50, 50, 100)
    pencil.polygon(green, 50, 92, 74, 66, 84, 70, 72, 90)
    pencil.polygon(green, 50, 92, 26, 66, 16, 70, 28, 90)
    for x, y in ((50, 15), (72, 27), (72, 50), (50, 61), (28, 50), (28, 27)):
        pencil.disc(paint, x, y, 14)
    pencil.disc(shade, 50, 38, 16)
    pencil.disc(LIGHT, 50, 38, 7)


THINGS: dict[str, Callable[[Pencil, RGB, RGB], None]] = {
    "dog": _dog,
    "cat": _cat,
    "bird": _bird,
    "fish": _fish,
    "car": _car,
    "boat": _boat,
    "house": _house,
    "tree": _tree,
    "ball": _ball,
    "flower": _flower,
}
