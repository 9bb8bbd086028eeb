"""What all plots share: a look that is readable without colour, fonts for every script, and writing files whole."""

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from processing.writing import atomic_file

from ..errors import missing_extra
from .contact_sheet import font_for

try:
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties
except ImportError as error:
    raise missing_extra("plots", "Drawing plots") from error

STYLE: Any = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.size": 10,
    "savefig.dpi": 150,
    # Queries and names of data may hold dollar signs.
    "text.parse_math": False,
}
CAPTION_SIZE = 8
CHARACTERS_PER_INCH = 15


@contextmanager
def drawn(
    path: Path, title: str, caption: str, size: tuple[float, float], lines: int = 1, columns: int = 1, **share: Any
) -> Iterator[list[Any]]:
    """Give axes to draw on, and save the figure with a title and a caption if the block ends without an error.

    Args:
        path: PNG file to write.
        title: Of the whole figure.
        caption: What the figures are based on; broken into lines.
        size: Width and height in inches.
        lines: Lines of axes.
        columns: Axes in a line.
        **share: `sharex` and `sharey` of matplotlib.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(lines, columns, squeeze=False, **share)
        figure.suptitle(title, fontsize=13)
        text, font = in_font(textwrap.fill(caption, int(CHARACTERS_PER_INCH * size[0])), "en", CAPTION_SIZE)
        figure.supxlabel(text, color="0.35", fontproperties=font)
        yield list(axes.flat)
        save(figure, path)


def finish_grid(axes: Sequence[Any], used: int, columns: int, label: str) -> None:
    """Hide the panels of a grid that are not used, and put a label below the lowest of each column."""
    for index, axis in enumerate(axes):
        axis.set_visible(index < used)
        # Panels that share an axis show its numbers only in the last line, which may be hidden.
        axis.tick_params(labelbottom=True)
        if used - columns <= index < used:
            axis.set_xlabel(label)


def line_styles(count: int) -> list[dict[str, Any]]:
    """Return styles for `count` lines that differ in dashes, marks and brightness."""
    dashes, marks = cycle(["-", "--", "-.", ":"]), cycle("osD^vPX")
    look: dict[str, Any] = {"markersize": 4, "markerfacecolor": "white", "linewidth": 1.4}
    return [
        {"color": matplotlib.colormaps["viridis"](shade), "linestyle": next(dashes), "marker": next(marks), **look}
        for shade in np.linspace(0, 0.8, max(count, 2))[:count]
    ]


def in_font(text: str, language: str, size: float) -> tuple[str, FontProperties]:
    """Return a text and a font of this machine that has its characters, as matplotlib's own has no Chinese.

    If there is none, the returned text says so.
    """
    font = font_for(text, language, 20)
    if font is None:
        return f"(no font here for this text in {language})", FontProperties(size=size)
    # Pillow's built-in font has no file, and what it covers matplotlib's covers too.
    file = getattr(font, "path", None)
    return text, FontProperties(fname=file if isinstance(file, str) else None, size=size)


def save(picture: Any, path: Path) -> None:
    """Write a picture or a figure as PNG, so that the file appears whole or not at all."""
    with atomic_file(path) as part:
        if isinstance(picture, Image.Image):
            picture.save(part, format="PNG")
        else:
            picture.savefig(part, format="png")
