"""Training by a recipe, with the stock Trainer."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, DatasetDict
from transformers import ProgressCallback, Trainer, TrainingArguments, set_seed
from transformers.integrations import is_tensorboard_available
from transformers.trainer import DEFAULT_PROGRESS_CALLBACK
from transformers.trainer_utils import get_last_checkpoint

from processing import CaptionCollator, RetrievalCollator
from processing.caption_embeddings import EMBED_COMMAND, CaptionEmbeddings, with_caption_embeddings
from processing.captions import check_languages, evaluation_rows, languages_of
from processing.features import FeatureFile, with_features
from processing.images import RandomCrop
from processing.writing import follow_umask, write_json

from ..data.loading import for_videos
from ..errors import UserError
from ..evaluation.evaluate import TEXT_COLUMNS
from ..evaluation.validation import RetrievalMetrics, SentenceMetrics
from ..models.build import build_model, build_processor, parameter_groups, standardize, training_texts
from ..models.lora import add_lora, finish_lora
from ..recipes.recipe import Recipe
from .report import LossTerms, plot_training

CHECKPOINTS = "checkpoints"
DEFAULTS: dict[str, Any] = {
    "remove_unused_columns": False,
    "report_to": "none",
    "dataloader_pin_memory": torch.cuda.is_available(),
    "eval_strategy": "epoch",
    "save_strategy": "epoch",
    "save_total_limit": 1,
    "load_best_model_at_end": True,
    "metric_for_best_model": "sum_of_hit_rates",
    "greater_is_better": True,
    "label_names": ["caption_languages"],
    "logging_steps": 20,
}
"""Settings of every run; a recipe or the command line can replace them."""


class QuietProgress(ProgressCallback):
    """Progress bars as Trainer has them, with one short line an evaluation in place of every figure."""

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Print the step and the mean SumR after an evaluation."""
        if self.training_bar is not None and logs and "eval_sum_of_hit_rates" in logs:
            self.training_bar.write(f"step {state.global_step}: validation SumR {logs['eval_sum_of_hit_rates']:.1f}")


def make_trainer(
    recipe: Recipe,
    data: Mapping[str, Dataset],
    output: Path,
    languages: Sequence[str] | None = None,
    features: FeatureFile | None = None,
    seed: int = 0,
    embeddings: CaptionEmbeddings | None = None,
) -> Trainer:
    """Set up a stock Trainer for a recipe.

    Args:
        recipe: Method, towers and settings.
        data: `train` and `validation` rows in the project's schema.
        output: Folder for checkpoints.
        languages: Target languages; None means all that the training data have.
        features: Visual features computed ahead, used in place of the pictures.
        seed: Of the weights, the order of the data, the drawn captions and dropout.
        embeddings: A teacher's embeddings of the training captions, for a recipe that transfers from one.

    Raises:
        UserError: If the data lack one of the languages, or embeddings are of other captions.
        UserError: If the recipe needs target captions or a teacher's embeddings and there are none.
    """
    set_seed(seed)
    recipe = for_videos(recipe, data)
    train, validation = data["train"], data["validation"]
    source = train[0]["source_language"]
    if languages is None:
        languages = languages_of(train)
    else:
        check_languages(train, languages)
    languages = [language for language in dict.fromkeys(languages) if language != source]
    evaluated = [source, *languages]
    _check_teaching(recipe, train, languages, embeddings)
    processor = build_processor(recipe, training_texts(train))
    model = build_model(recipe, processor, features)
    collator: CaptionCollator
    metrics: RetrievalMetrics | SentenceMetrics
    if recipe.network == "cross-lingual":
        train, validation, features = train.select_columns(TEXT_COLUMNS), validation.select_columns(TEXT_COLUMNS), None
        collator, metrics = CaptionCollator(processor, languages), SentenceMetrics(evaluated)
    else:
        standardize(model, features, train)
        augment = RandomCrop(**recipe.augmentation) if recipe.augmentation and features is None else None
        collator, metrics = RetrievalCollator(processor, languages, augment), RetrievalMetrics(evaluated)
    if recipe.lora:
        model = add_lora(model, recipe.lora)
    arguments = TrainingArguments(output_dir=str(output), seed=seed, **{**DEFAULTS, **recipe.training})
    if "tensorboard" in arguments.report_to and not is_tensorboard_available():
        raise UserError("--report_to tensorboard needs TensorBoard: pip install tensorboard.")
    trainer = Trainer(
        model=model,
        args=arguments,
        data_collator=collator,
        train_dataset=with_caption_embeddings(with_features(train, features, varied=True), embeddings),
        eval_dataset=with_features(evaluation_rows(validation, evaluated), features),
        compute_metrics=metrics,
        processing_class=processor,
        optimizers=(_optimizer(model, recipe, arguments), None),
    )
    if not arguments.disable_tqdm:
        # In a notebook, Trainer has another one, a table with every figure.
        trainer.remove_callback(DEFAULT_PROGRESS_CALLBACK)
        trainer.add_callback(QuietProgress)
    # In front of those that write down what is logged, such as TensorBoard's.
    trainer.callback_handler.callbacks.insert(0, LossTerms())
    return trainer


def _optimizer(model: Any, recipe: Recipe, arguments: TrainingArguments) -> torch.optim.AdamW:
    base = model.get_base_model() if recipe.lora else model
    groups = parameter_groups(base, arguments.learning_rate, arguments.weight_decay, recipe.new_layers_learning_rate)
    betas = (arguments.adam_beta1, arguments.adam_beta2)
    return torch.optim.AdamW(groups, lr=arguments.learning_rate, betas=betas, eps=arguments.adam_epsilon)


def _needs_teacher(recipe: Recipe, train: Dataset) -> bool:
    """Return whether the recipe needs a teacher's embeddings that the rows themselves do not have."""
    columns = {"source_embeddings", "target_embeddings"}
    return recipe.model.get("transfer_weight", 0) > 0 and not columns <= set(train.column_names)


def _check_teaching(
    recipe: Recipe, train: Dataset, languages: Sequence[str], embeddings: CaptionEmbeddings | None
) -> None:
    teaches = recipe.network == "cross-lingual"
    if not languages and (teaches or recipe.model.get("transfer_weight", 0) > 0):
        raise UserError(
            f"Recipe {recipe.name} needs captions in a target language; add some with `leccr translate DATA --to ...`."
        )
    if embeddings is not None:
        embeddings.check(train)
    elif _needs_teacher(recipe, train):
        raise UserError(
            f"Recipe {recipe.name} learns from a teacher's embeddings of the captions, and the training rows have "
            f"none; make them with: {EMBED_COMMAND}."
        )


def train_recipe(trainer: Trainer, recipe: Recipe, resume: bool = False) -> dict[str, Any]:
    """Train, keep the best checkpoint by validation, and return what the run was and what it reached."""
    last = get_last_checkpoint(trainer.args.output_dir) if resume else None
    run = trainer.train(resume_from_checkpoint=last)
    validations = [entry for entry in trainer.state.log_history if "eval_sum_of_hit_rates" in entry]
    best = [entry for entry in validations if entry["eval_sum_of_hit_rates"] == trainer.state.best_metric]
    return {
        "recipe": recipe.name,
        "warm_start": recipe.warm_start,
        "dual_encoder": recipe.dual_encoder,
        "lora": recipe.lora,
        "seed": trainer.args.seed,
        "steps": trainer.state.global_step,
        "seconds": round(run.metrics["train_runtime"], 1),
        "selection": "best validation sum_of_hit_rates, averaged over languages",
        "validation": best[0] if best else {},
    }


def run_training(
    recipe: Recipe,
    data: str,
    output: Path,
    languages: Sequence[str] | None = None,
    seed: int = 0,
    resume: bool = False,
    skip_broken: bool = False,
    plots: bool = False,
) -> None:
    """Train a recipe on a prepared data set and write a Hub-ready folder: what `leccr train` does.

    With `plots` the terms of the loss and the validation figures are drawn into `plots` in that folder.

    Raises:
        UserError: If the output folder has files in it and this is no resumption, or a split is missing.
        ImportError: If plots are wanted and matplotlib is not installed.
    """
    if plots:
        from ..drawing import figures  # noqa: F401 - before the work, as matplotlib may be missing
    from ..data.facts import training_facts
    from ..data.loading import load_data
    from .embed_captions import caption_embeddings

    output = Path(output)
    if output.exists() and any(output.iterdir()) and not resume:
        raise UserError(f"{output} is not empty; choose a new folder, or add --resume to go on with the run in it.")
    teaches = recipe.network == "cross-lingual"
    loaded, features = load_data(data, skip_broken=skip_broken and not teaches)
    splits = as_splits(loaded)
    embeddings = caption_embeddings(data) if _needs_teacher(recipe, splits["train"]) else None
    trainer = make_trainer(recipe, splits, output / CHECKPOINTS, languages, features, seed, embeddings)
    report = train_recipe(trainer, recipe, resume)
    report["data"] = training_facts(data, splits)
    if embeddings is not None:
        report["teacher"] = embeddings.teacher
    model = finish_lora(trainer.model, output) if recipe.lora else trainer.model
    save_retriever(output, model, trainer.processing_class, report)
    if plots:
        plot_training(output / "plots", trainer.state.log_history, report, data)
    print(f"The trained model is in {output}; measure it with: leccr evaluate {output} {data}")
    if teaches:
        print(f"Let it teach cl2cm or leccr-cl2cm with: leccr embed-captions {data} --model {output}")


def save_retriever(output: Path, model: Any, processor: Any, report: Mapping[str, Any] | None = None) -> None:
    """Write a folder that the Auto classes load by themselves: weights, processor, their code, and the run's report.

    Args:
        output: Folder to write.
        model: A `modeling_leccr.LeccrModel`, or a text-only `modeling_leccr.CrossLingualModel`.
        processor: Its processor, or the tokenizer of a text-only model.
        report: What `train_recipe` returned.
    """
    model.save_pretrained(output)
    processor.save_pretrained(output)
    follow_umask(output)
    if report is not None:
        write_json(output / "training.json", report)


def as_splits(data: DatasetDict | Mapping[str, Dataset]) -> DatasetDict:
    """Return the splits as a `DatasetDict`, after checking that training and validation are there.

    Raises:
        UserError: If one is missing.
    """
    for split in ("train", "validation"):
        if split not in data:
            raise UserError(f"The data have no {split} split, only {', '.join(data)}; prepare one.")
    return DatasetDict(dict(data))
