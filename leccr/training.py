"""Training by a recipe, with the stock Trainer."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset, DatasetDict
from transformers import EvalPrediction, ProgressCallback, Trainer, TrainingArguments, set_seed
from transformers.trainer_utils import get_last_checkpoint

from modeling_leccr import LeccrModel
from processing import LeccrProcessor, RetrievalCollator
from processing.captions import check_languages, evaluation_rows, languages_of
from processing.features import FeatureFile, with_features
from processing.images import RandomCrop

from .building import build_model, build_processor, parameter_groups, standardize, training_texts
from .errors import UserError
from .evaluation import write_json
from .metrics import retrieval_metrics, retrieval_ranks
from .recipes import Recipe

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


class RetrievalMetrics:
    """The ``compute_metrics`` of a retrieval run: hit rates, SumR, median rank and mAP by language, and mean SumR.

    Args:
        languages: Languages in the order of the evaluation rows' ``caption_languages``.
    """

    def __init__(self, languages: Sequence[str]) -> None:
        self.languages = list(languages)

    def __call__(self, prediction: EvalPrediction) -> dict[str, float]:
        """Return ``<language>_<metric>`` for each language, and ``sum_of_hit_rates`` averaged over languages."""
        image_views, caption_embeds = (torch.from_numpy(np.asarray(array)) for array in prediction.predictions)
        caption_languages = torch.from_numpy(np.asarray(prediction.label_ids))
        results: dict[str, float] = {}
        for place, language in enumerate(self.languages):
            rows, columns = (caption_languages == place).nonzero(as_tuple=True)
            if len(rows):
                ranks = retrieval_ranks(caption_embeds[rows, columns], image_views, rows)
                results.update({f"{language}_{name}": value for name, value in retrieval_metrics(ranks).items()})
        sums = [
            results[f"{language}_sum_of_hit_rates"]
            for language in self.languages
            if f"{language}_sum_of_hit_rates" in results
        ]
        results["sum_of_hit_rates"] = sum(sums) / len(sums)
        return results


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
) -> Trainer:
    """Set up a stock Trainer for a recipe.

    Args:
        recipe: Method, towers and settings.
        data: ``train`` and ``validation`` rows in the project's schema.
        output: Folder for checkpoints.
        languages: Target languages; None means all that the training data have.
        features: Visual features computed ahead, used in place of the pictures.
        seed: Of the weights, the order of the data, the drawn captions and dropout.

    Raises:
        ValueError: If the data lack one of the languages.
    """
    set_seed(seed)
    train, validation = data["train"], data["validation"]
    source = train[0]["source_language"]
    if languages is None:
        languages = languages_of(train)
    else:
        check_languages(train, languages)
    languages = [language for language in dict.fromkeys(languages) if language != source]
    evaluated = [source, *languages]
    processor = build_processor(recipe, training_texts(train))
    model = build_model(recipe, processor, features)
    standardize(model, features, train)
    arguments = TrainingArguments(output_dir=str(output), seed=seed, **{**DEFAULTS, **recipe.training})
    groups = parameter_groups(model, arguments.learning_rate, arguments.weight_decay, recipe.new_layers_learning_rate)
    betas = (arguments.adam_beta1, arguments.adam_beta2)
    optimizer = torch.optim.AdamW(groups, lr=arguments.learning_rate, betas=betas, eps=arguments.adam_epsilon)
    augment = RandomCrop(**recipe.augmentation) if recipe.augmentation and features is None else None
    trainer = Trainer(
        model=model,
        args=arguments,
        data_collator=RetrievalCollator(processor, languages, augment),
        train_dataset=with_features(train, features),
        eval_dataset=with_features(evaluation_rows(validation, evaluated), features),
        compute_metrics=RetrievalMetrics(evaluated),
        processing_class=processor,
        optimizers=(optimizer, None),
    )
    if not arguments.disable_tqdm:
        trainer.remove_callback(ProgressCallback)
        trainer.add_callback(QuietProgress)
    return trainer


def train_recipe(trainer: Trainer, recipe: Recipe, resume: bool = False) -> dict[str, Any]:
    """Train, keep the best checkpoint by validation, and return what the run was and what it reached."""
    last = get_last_checkpoint(trainer.args.output_dir) if resume else None
    run = trainer.train(resume_from_checkpoint=last)
    validations = [entry for entry in trainer.state.log_history if "eval_sum_of_hit_rates" in entry]
    best = [entry for entry in validations if entry["eval_sum_of_hit_rates"] == trainer.state.best_metric]
    return {
        "recipe": recipe.name,
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
) -> None:
    """Train a recipe on a prepared data set and write a Hub-ready folder: what ``leccr train`` does.

    Raises:
        UserError: If the output folder has files in it and this is no resumption, or a split is missing.
    """
    from .data import load_data

    output = Path(output)
    if output.exists() and any(output.iterdir()) and not resume:
        raise UserError(f"{output} is not empty; choose a new folder, or add --resume to go on with the run in it.")
    splits, features = load_data(data, skip_broken=skip_broken)
    trainer = make_trainer(recipe, as_splits(splits), output / CHECKPOINTS, languages, features, seed)
    report = train_recipe(trainer, recipe, resume)
    save_retriever(output, trainer.model, trainer.processing_class, report)
    print(f"The trained model is in {output}; measure it with: leccr evaluate {output} {data}")


def save_retriever(
    output: Path, model: LeccrModel, processor: LeccrProcessor, report: Mapping[str, Any] | None = None
) -> None:
    """Write a folder that the Auto classes load by themselves: weights, processor, their code, and the run's report."""
    model.save_pretrained(output)
    processor.save_pretrained(output)
    if report is not None:
        write_json(output / "training.json", report)


def as_splits(data: DatasetDict | Mapping[str, Dataset]) -> DatasetDict:
    """Return the splits as a ``DatasetDict``, after checking that training and validation are there.

    Raises:
        UserError: If one is missing.
    """
    for split in ("train", "validation"):
        if split not in data:
            raise UserError(f"The data have no {split} split, only {', '.join(data)}; prepare one.")
    return DatasetDict(dict(data))
