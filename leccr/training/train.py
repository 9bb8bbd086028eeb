"""Training by a recipe, with the stock Trainer."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from datasets import DatasetDict
from transformers import PrinterCallback, ProgressCallback, Trainer, TrainingArguments, set_seed
from transformers.trainer import DEFAULT_PROGRESS_CALLBACK

from processing import CaptionCollator, RetrievalCollator
from processing.caption_embeddings import with_caption_embeddings
from processing.captions import evaluation_rows
from processing.features import with_features
from processing.images import RandomCrop
from processing.notes import is_main_process, is_quiet, note
from processing.streaming import StreamedRows
from processing.writing import atomic_files, refuse_links_below, write_json, write_text

from ..data.facts import SCENES, training_facts
from ..data.loading import for_videos
from ..data.training_data import TrainingData, missing_texts, open_training_data
from ..errors import UserError, inputs_of_the_user, settings_of_the_user
from ..evaluation.ranked import TEXT_COLUMNS
from ..evaluation.validation import RetrievalMetrics, SentenceMetrics
from ..models.build import (
    build_model,
    build_processor,
    parameter_groups,
    training_texts,
)
from ..models.calibration import CALIBRATION_FILE
from ..models.lora import add_lora, finish_lora
from ..models.standardize import standardize, standardize_texts
from ..recipes import Recipe
from ..recipes.recipe import RECIPE_FILE
from .processes import (
    OwnRandomNumbers,
    check_agreement,
    check_processes,
    join_batch_norms,
    lanes,
    layout,
    rows_per_step,
)
from .report import LossTerms, plot_training
from .resuming import CHECKPOINTS, begin_run, last_checkpoint
from .settings import training_arguments
from .text_cache import tell_missing, use_text_states

CALIBRATION = "calibration"

__all__ = ["CHECKPOINTS", "RECIPE_FILE", "make_trainer", "run_training", "save_retriever", "train_recipe"]


class QuietProgress(ProgressCallback):
    """Progress bars as Trainer has them, with one short line per evaluation instead of every figure."""

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Print the step and the mean SumR after an evaluation."""
        if self.training_bar is not None and logs and "eval_sum_of_hit_rates" in logs:
            self.training_bar.write(f"step {state.global_step}: validation SumR {logs['eval_sum_of_hit_rates']:.1f}")


def make_trainer(recipe: Recipe, data: TrainingData, output: Path) -> Trainer:
    """Set up a stock Trainer for a recipe.

    Args:
        recipe: Method, towers, settings and seed.
        data: What `training_data` returned for this recipe.
        output: Folder for checkpoints.

    Raises:
        UserError: If the towers cannot be loaded, or do not fit the data, or a setting makes no sense.
    """
    arguments = training_arguments(recipe, str(output), opens_pictures=_opens_pictures(recipe, data))
    check_processes(arguments)
    set_seed(recipe.seed)
    recipe = for_videos(recipe, data.splits)
    processor = build_processor(recipe, training_texts(data.train))
    model = build_model(recipe, processor, data.features)
    batches = _batches(recipe, _in_order(data, arguments, recipe), processor)
    if recipe.network == "cross-modal":
        standardize(model, data.features, data.train, processor, recipe.seed)
    if data.texts is not None:
        use_text_states(model, data.texts)
    standardize_texts(model, processor, data.train, recipe.seed)
    if recipe.lora:
        model = add_lora(model, recipe.lora)
    if arguments.world_size > 1:
        join_batch_norms(model)
    with settings_of_the_user("The settings of the training"):
        trainer = Trainer(
            model=model,
            args=arguments,
            data_collator=batches.collator,
            train_dataset=batches.train,
            eval_dataset=batches.validation,
            compute_metrics=batches.metrics,
            processing_class=processor,
            optimizers=(_optimizer(model, recipe, arguments), None),
        )
    if not arguments.disable_tqdm:
        # In a notebook, Trainer has another one, a table with every figure.
        trainer.remove_callback(DEFAULT_PROGRESS_CALLBACK)
        trainer.add_callback(QuietProgress)
    elif is_quiet():
        # Without bars, Trainer prints every figure that it logs.
        trainer.remove_callback(PrinterCallback)
    # In front of those that write down what is logged, such as TensorBoard's.
    trainer.callback_handler.callbacks.insert(0, LossTerms())
    trainer.add_callback(OwnRandomNumbers)
    if arguments.dataloader_num_workers:
        # Worker processes are forked, and tokenizers would warn that they give up their threads.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    return trainer


def _opens_pictures(recipe: Recipe, data: TrainingData) -> bool:
    return recipe.network == "cross-modal" and data.features is None


def _in_order(data: TrainingData, arguments: TrainingArguments, recipe: Recipe) -> TrainingData:
    """Return the data with streamed rows in the order of the run; others are shuffled by Trainer."""
    if not isinstance(data.train, StreamedRows):
        return data
    order = (arguments.train_batch_size, lanes(arguments), recipe.shuffle_buffer, recipe.seed)
    return dataclasses.replace(data, splits=DatasetDict({**data.splits, "train": data.train.shuffled(*order)}))


class _Batches(NamedTuple):
    """Rows, and what makes batches and figures of them."""

    train: Any
    validation: Any
    collator: CaptionCollator
    metrics: RetrievalMetrics | SentenceMetrics


def _batches(recipe: Recipe, data: TrainingData, processor: Any) -> _Batches:
    if recipe.network == "cross-lingual":
        train, validation = (rows.select_columns(TEXT_COLUMNS) for rows in (data.train, data.validation))
        return _Batches(
            with_caption_embeddings(train, data.embeddings),
            evaluation_rows(validation, data.evaluated),
            CaptionCollator(processor, data.languages, recipe.lower_case_share),
            SentenceMetrics(data.evaluated),
        )
    augment = RandomCrop(**recipe.augmentation) if recipe.augmentation and data.features is None else None
    return _Batches(
        with_caption_embeddings(with_features(data.train, data.features, varied=True), data.embeddings),
        with_features(evaluation_rows(data.validation, data.evaluated), data.features),
        RetrievalCollator(processor, data.languages, augment, recipe.lower_case_share),
        RetrievalMetrics(data.evaluated),
    )


def _optimizer(model: Any, recipe: Recipe, arguments: TrainingArguments) -> torch.optim.AdamW:
    base = model.get_base_model() if recipe.lora else model
    groups = parameter_groups(base, arguments.learning_rate, arguments.weight_decay, recipe.new_layers_learning_rate)
    betas = (arguments.adam_beta1, arguments.adam_beta2)
    # One pass over the weights in place of about ten: of small towers with large vocabularies, half of a step.
    return torch.optim.AdamW(groups, lr=arguments.learning_rate, betas=betas, eps=arguments.adam_epsilon, fused=True)


def train_recipe(trainer: Trainer, recipe: Recipe, resume: bool = False) -> dict[str, Any]:
    """Train, keep the best checkpoint by validation, and return what the run was and what it reached."""
    last = last_checkpoint(Path(trainer.args.output_dir)) if resume else None
    if resume and last is None:
        note("Note: there is no checkpoint to resume from, so the run starts from the beginning.")
    check_agreement({"checkpoint": last and Path(last).name})
    with inputs_of_the_user():
        run = trainer.train(resume_from_checkpoint=last)
    validations = [entry for entry in trainer.state.log_history if "eval_sum_of_hit_rates" in entry]
    if not validations and trainer.args.load_best_model_at_end:
        note("Note: the run ended before its first validation, so the last weights are kept.")
    calibration = _calibrate(trainer)
    best = [entry for entry in validations if entry["eval_sum_of_hit_rates"] == trainer.state.best_metric]
    return {
        "recipe": recipe.name,
        "steps": trainer.state.global_step,
        "rows_per_step": rows_per_step(trainer.args),
        "seconds": round(run.metrics["train_runtime"], 1),
        "precision": "bf16" if trainer.args.bf16 else "fp16" if trainer.args.fp16 else "fp32",
        "selection": "best validation sum_of_hit_rates, averaged over languages",
        "validation": best[0] if best else {},
        **({} if calibration is None else {CALIBRATION: calibration}),
    }


def _calibrate(trainer: Trainer) -> dict[str, Any] | None:
    """Return what the scores of a trained retriever mean, by its validation captions; all processes call it."""
    metrics = trainer.compute_metrics
    if not isinstance(metrics, RetrievalMetrics):
        return None
    # The weights are those of the best checkpoint only now.
    prediction = trainer.predict(trainer.eval_dataset)
    rows: Any = getattr(trainer.eval_dataset, "rows", trainer.eval_dataset)
    described = sum(map(bool, rows["description"])) / len(rows)
    takes_descriptions = trainer.model is not None and trainer.model.config.takes_descriptions
    calibration = metrics.calibrate(prediction, described if takes_descriptions else None)
    return None if calibration is None else calibration.to_fields()


def run_training(recipe: Recipe, output: Path, resume: bool = False, plots: bool = False) -> None:
    """Train a recipe on the data that it names and write a Hub-ready folder: what `leccr train` does.

    Of several processes, such as `torchrun` starts, only the main one writes and prints.

    Args:
        recipe: Method, towers, settings, data, languages and seed.
        output: Folder to write, with all of these in its `recipe.yaml`.
        resume: Continue from the last checkpoint in that folder.
        plots: Draw the terms of the loss and the validation figures into `plots` in that folder.

    Raises:
        UserError: If the output folder has files in it and this is not a resumption, or the recipe cannot be trained on
            the data, or is not the one of the run to resume.
    """
    if plots:
        from ..drawing import figures  # noqa: F401 - before the work, as matplotlib may be missing

    output = Path(output)
    if is_main_process() and output.exists() and any(output.iterdir()) and not resume:
        raise UserError(f"{output} is not empty; choose a new folder, or add --resume to resume the run in it.")
    refuse_links_below(output)
    recipe = dataclasses.replace(recipe, data=recipe.data or SCENES)
    data = open_training_data(recipe)
    recipe = dataclasses.replace(recipe, languages=data.languages)
    trainer = make_trainer(recipe, data, output / CHECKPOINTS)
    _announce(recipe, data)
    begin_run(output, recipe, data.used, resume, layout(trainer.args, recipe.streaming))
    report = train_recipe(trainer, recipe, resume)
    if data.texts is not None:
        tell_missing(data.texts)
    if not is_main_process():
        return
    report["data"] = training_facts(str(recipe.data), data.used)
    if data.embeddings is not None:
        report["teacher"] = data.embeddings.teacher
    model = finish_lora(trainer.model, output) if recipe.lora else trainer.model
    save_retriever(output, model, trainer.processing_class, report, recipe)
    if plots:
        plot_training(output / "plots", trainer.state.log_history, report, recipe)
    note(f"The trained model is in {output}; measure it with: leccr evaluate {output} {recipe.data}")
    if recipe.network == "cross-lingual":
        note(f"Let it teach cl2cm or leccr-cl2cm with: leccr embed-captions {recipe.data} --model {output}")


def _announce(recipe: Recipe, data: TrainingData) -> None:
    """Print what the towers changed in the method, and what the data lack."""
    print_changes(recipe)
    for remark in missing_texts(recipe, data):
        note(f"Note: {remark}")


def print_changes(recipe: Recipe) -> None:
    """Print the settings for which the towers' value replaced the recipe's, one per line."""
    if recipe.changes:
        note("\n".join([f"The towers change recipe {recipe.name}:", *(f"  {change}" for change in recipe.changes)]))


def save_retriever(
    output: Path,
    model: Any,
    processor: Any,
    report: Mapping[str, Any] | None = None,
    recipe: Recipe | None = None,
) -> None:
    """Write a folder that the Auto classes load by themselves: weights, processor, their code, and the run's report.

    Other files in the folder stay. The new ones appear once all of them are written, `config.json` last.

    Args:
        output: Folder to write.
        model: A `modeling_leccr.LeccrModel`, or a text-only `modeling_leccr.CrossLingualModel`.
        processor: Its processor, or the tokenizer of a text-only model.
        report: What `train_recipe` returned, for `training.json` and `calibration.json`.
        recipe: What was trained, for `recipe.yaml`, from which `leccr train` repeats the run.
    """
    with atomic_files(output, last="config.json") as part:
        model.save_pretrained(part)
        processor.save_pretrained(part)
        if report is not None:
            write_json(part / "training.json", {name: report[name] for name in report if name != CALIBRATION})
            if CALIBRATION in report:
                write_json(part / CALIBRATION_FILE, report[CALIBRATION])
        if recipe is not None:
            write_text(part / RECIPE_FILE, recipe.to_yaml())
