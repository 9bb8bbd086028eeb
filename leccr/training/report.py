"""What a training run logs and draws: the terms of its loss besides the total, and the validation."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.hooks import RemovableHandle
from transformers import TrainerCallback

from processing.notes import note

from ..recipes.recipe import Recipe

SELECTED_BY = "eval_sum_of_hit_rates"
LOSS, VALIDATION = "loss_terms.png", "validation.png"
NATS = "loss (nats)"
STEP = "training step (optimiser updates)"
TERMS = {
    "loss": ("Total, weighted", "loss (weighted sum)"),
    "loss_vision_source": ("Picture–source matching, L_vs", NATS),
    "loss_vision_target": ("Picture–target matching, L_vt", NATS),
    "loss_source_target": ("Source–target matching, L_st", NATS),
    "loss_slot_source": ("Slot–source matching, L_c", NATS),
    "loss_slot_target": ("Slot–target matching, L_c", NATS),
    "loss_slot_diversity": ("Slot diversity, L_div", "squared cosine (no unit)"),
    "loss_slot_vision": ("Slot–picture matching, L_cv", NATS),
    "loss_softened": ("Softened matching, L_soft", "divergence (nats)"),
    "loss_transfer": ("Transfer from the teacher", "divergence (nats)"),
    "loss_fused_source": ("Source matching, fused score", NATS),
    "loss_fused_target": ("Target matching, fused score", NATS),
    "loss_image_only_source": ("Source matching, image only", NATS),
    "loss_image_only_target": ("Target matching, image only", NATS),
    "loss_sentence": ("Sentence matching", NATS),
    "loss_word": ("Word alignment", "loss (sum of cost and nats)"),
}
"""Title and unit of what is logged, in the order of the panels."""


class LossTerms(TrainerCallback):
    """Logs the unweighted terms of a model's loss wherever Trainer logs the total: mean since the last time.

    They are read from the `loss_*` fields of what the model returns in training. Several processes log those of the
    first.
    """

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._hook: RemovableHandle | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Begin to listen."""
        self._stop()
        self._hook = model.register_forward_hook(self._collect)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Add the terms to what is logged and to the history."""
        if not logs or "loss" not in logs:
            return
        terms = {name: (total / self._counts[name]).item() for name, total in self._sums.items()}
        self._sums, self._counts = {}, {}
        logs.update(terms)
        state.log_history[-1].update(terms)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop listening."""
        self._stop()

    def _stop(self) -> None:
        self._sums, self._counts = {}, {}
        if self._hook is not None:
            self._hook.remove()

    def _collect(self, model: Any, inputs: Any, output: Any) -> None:
        if not model.training:
            return
        for name, value in output.items():
            if name.startswith("loss_"):
                # Read only when it is logged, because each reading makes an accelerator wait.
                value = value.detach().float()
                self._sums[name] = self._sums[name] + value if name in self._sums else value
                self._counts[name] = self._counts.get(name, 0) + 1


def plot_training(
    folder: Path, history: Sequence[Mapping[str, Any]], report: Mapping[str, Any], recipe: Recipe
) -> list[Path]:
    """Draw the terms of the loss, and the validation figures, over the steps.

    Args:
        folder: Folder for the pictures; files of the same names are replaced.
        history: The `log_history` of the run's trainer.
        report: What `leccr.training.train.train_recipe` returned.
        recipe: What was trained, on which data.

    Returns:
        The files written: one whose figures were never logged is left out, and that is said.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    data = "/".join(Path(str(recipe.data)).parts[-2:])
    caption = f"Recipe {recipe.name}, data {data}, seed {recipe.seed}."
    written = []
    if any("loss" in entry for entry in history):
        written.append(folder / LOSS)
        plot_terms(written[-1], history, caption)
    else:
        note("There is no plot of the loss: the run ended before anything was logged; try --logging_steps 1.")
    if any(SELECTED_BY in entry for entry in history):
        written.append(folder / VALIDATION)
        kept = report.get("validation", {}).get("step")
        plot_validation(written[-1], history, f"{caption} Selection: {report['selection']}.", kept)
    else:
        note("There is no plot of the validation: nothing was validated.")
    if written:
        note(f"The plots are in {folder}: {', '.join(path.name for path in written)}.")
    return written


def plot_terms(path: Path, history: Sequence[Mapping[str, Any]], caption: str) -> None:
    """Draw the total and each unweighted term in a panel of its own, as their sizes differ."""
    from ..drawing.figures import drawn, finish_grid

    logged = [entry for entry in history if "loss" in entry]
    terms = {name for entry in logged for name in entry if name == "loss" or name.startswith("loss_")}
    names = [name for name in TERMS if name in terms] + sorted(terms - TERMS.keys())
    columns = min(3, len(names))
    lines = -(-len(names) // columns)
    caption += " Terms are shown before weighting. Each mark is the mean since the one before."
    size = (4 * columns + 0.5, 2.3 * lines + 1.4)
    with drawn(path, "Loss on training batches", caption, size, lines, columns, sharex=True) as axes:
        for axis, name in zip(axes, names):
            title, unit = TERMS.get(name, (name.removeprefix("loss_").replace("_", " "), "loss"))
            points = [(entry["step"], entry[name]) for entry in logged if name in entry]
            axis.plot(*zip(*points), color="0.2", marker="o", markersize=3, linewidth=1.2)
            axis.set_title(title, fontsize=10)
            axis.set_ylabel(unit, fontsize=9)
            axis.grid(axis="y", color="0.9")
            axis.xaxis.get_major_locator().set_params(integer=True)
        finish_grid(axes, len(names), columns, STEP)


def plot_validation(path: Path, history: Sequence[Mapping[str, Any]], caption: str, kept: int | None) -> None:
    """Draw SumR of each language and their mean, and mark the step whose weights were kept."""
    from ..drawing.figures import drawn, line_styles

    entries = [entry for entry in history if SELECTED_BY in entry]
    suffix = SELECTED_BY.removeprefix("eval")
    languages = dict.fromkeys(
        name for entry in entries for name in entry if name.endswith(suffix) and name != SELECTED_BY
    )
    with drawn(path, "Validation by language", caption, (8, 4.6)) as (axis,):
        for name, style in zip(languages, line_styles(len(languages))):
            points = [(entry["step"], entry[name]) for entry in entries if name in entry]
            axis.plot(*zip(*points), label=name.removeprefix("eval_").removesuffix(suffix), **style)
        mean = [(entry["step"], entry[SELECTED_BY]) for entry in entries]
        axis.plot(*zip(*mean), color="black", linewidth=2.6, marker="o", markersize=5, label="mean")
        if kept is not None:
            axis.axvline(kept, color="0.5", linestyle=(0, (6, 4)), linewidth=1, zorder=0, label=f"kept: step {kept:,}")
        axis.set_ylabel("SumR, sum of six hit rates (%, at most 600)")
        axis.grid(axis="y", color="0.9")
        axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, ncols=1 + len(languages) // 18)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.set_xlabel(STEP)
