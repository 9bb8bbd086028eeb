from collections.abc import Callable
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import pytest

from .plot_rules import check_figure


def plot(change: Callable[[Any], Any] | None = None) -> Any:
    """Draw a plot that keeps to all rules, and then break one."""
    figure, axes = plt.subplots()
    axes.barh(["first", "second"], [1.0, 2.0], color="0.3")
    axes.set(title="Scores", xlabel="score (no unit)", ylabel="file")
    if change is not None:
        change(axes)
    plt.close(figure)
    return figure


def test_a_good_plot_passes() -> None:
    check_figure(plot())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda axes: axes.set_title(""), "without a title"),
        (lambda axes: axes.set_ylabel(""), "without a label"),
        (lambda axes: axes.set_xlabel("score"), "no unit in 'score'"),
        (lambda axes: axes.plot([0, 1], [0, 1], color="red"), "colour red"),
        (lambda axes: axes.imshow([[0.0, 1.0]], cmap="jet"), "Scores"),
    ],
)
def test_a_broken_rule_is_noticed(change: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_figure(plot(change))


def test_a_colour_bar_needs_a_unit() -> None:
    figure = plot()
    figure.colorbar(figure.axes[0].imshow([[0.0, 1.0]], cmap="Greys"), label="mass")
    with pytest.raises(AssertionError, match="colour bar without a unit"):
        check_figure(figure)
