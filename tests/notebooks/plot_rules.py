"""What every plot of the notebooks has to keep to; runs in the notebook's own process."""

from typing import Any

import matplotlib.pyplot as plt
from matplotlib.colors import to_rgb

GREY_MAPS = ("Greys", "gray")


def watch_plots() -> None:
    """Check each plot at the moment at which the notebook shows it."""
    show = plt.show

    def checked_show(*arguments: Any, **options: Any) -> None:
        for number in plt.get_fignums():
            check_figure(plt.figure(number))
        show(*arguments, **options)

    plt.show = checked_show


def check_figure(figure: Any) -> None:
    bars = [axes for axes in figure.axes if axes.get_label() == "<colorbar>"]
    panels = [axes for axes in figure.axes if axes not in bars]
    assert panels, "an empty figure"
    for axes in panels:
        assert axes.get_title(), "a plot without a title"
        _check_axis(axes.get_title(), axes.xaxis)
        _check_axis(axes.get_title(), axes.yaxis)
        _check_greys(axes)
    for bar in bars:
        assert _has_unit(bar.get_ylabel() or bar.get_xlabel()), f"a colour bar without a unit: {bar.get_ylabel()!r}"


def _check_axis(title: str, axis: Any) -> None:
    label = axis.get_label().get_text()
    assert label, f"{title}: an axis without a label"
    # An axis of names has words at its ticks; one of numbers needs a unit.
    ticks = [tick.get_text().replace("\N{MINUS SIGN}", "-") for tick in axis.get_ticklabels()]
    if any(_is_number(tick) for tick in ticks):
        assert _has_unit(label), f"{title}: no unit in {label!r}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _has_unit(label: str) -> bool:
    return "(" in label and label.endswith(")")


def _check_greys(axes: Any) -> None:
    """A plot reads in greyscale if it has no colours; the pictures of a gallery may."""
    for image in axes.images:
        assert image.get_array().ndim == 3 or image.get_cmap().name in GREY_MAPS, axes.get_title()
    colours = [line.get_color() for line in axes.lines] + [patch.get_facecolor()[:3] for patch in axes.patches]
    for colour in colours:
        red, green, blue = to_rgb(colour)
        assert red == green == blue, f"{axes.get_title()}: the colour {colour}"
