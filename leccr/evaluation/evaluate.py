"""Evaluation of a trained model on a split, with the protocol next to every figure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from datasets import Dataset

from processing.device import choose_device
from processing.features import FeatureFile
from processing.notes import note
from processing.screen import shown
from processing.writing import write_json

from ..arguments import SENTENCE_TRANSFORMERS
from ..data.facts import SCENES, SCENES_FACTS, read_facts
from ..data.features import choose_features
from ..data.loading import load_data, split_of, without_broken_pictures
from ..defaults import EVALUATION_BATCH
from ..errors import UserError
from ..models.checkpoints import CROSS_LINGUAL, model_type
from ..models.encoder import Encoder
from ..models.sentence_views import with_sentences
from .calibrate import check_calibration, write_calibration
from .metrics import IMAGE_DIRECTIONS, SENTENCE_DIRECTIONS, mean_rank_variance
from .ranked import UNREAD, RankedQueries, parallel_ranks, rank_retrieval, rank_sentences
from .tables import evaluation_table

SPEED = "encoding only: texts with their tokenization, pictures without reading and preparing them"
MEAN_RANK_VARIANCE = "variance over languages of the rank of the right picture, mean over parallel captions"


@dataclass(frozen=True)
class EvaluationOptions:
    """What can be chosen for `leccr evaluate`.

    Attributes:
        split: Split to evaluate.
        languages: Languages of the queries; None means all that the data have.
        descriptions: Whether the gallery uses the rows' descriptions.
        description_weight: How much the sentences of descriptions count for a dual encoder; None if they do not.
        batch_size: Images, or captions of a text-only model, encoded per batch.
        skip_broken: Leave out pictures and videos that cannot be decoded.
        device: Where the model runs, as for `processing.device.choose_device`.
        dtype: Its precision, as for `processing.device.choose_dtype`.
        trust_remote_code: Run code that it carries, if it is of a kind that the libraries do not know.
    """

    split: str = "validation"
    languages: Sequence[str] | None = None
    descriptions: bool = True
    description_weight: float | None = None
    batch_size: int = EVALUATION_BATCH
    skip_broken: bool = False
    device: str = "auto"
    dtype: str = "auto"
    trust_remote_code: bool = False


def evaluate_retrieval(
    encoder: Encoder,
    rows: Dataset,
    languages: Sequence[str] | None = None,
    features: FeatureFile | None = None,
    descriptions: bool = True,
    batch_size: int = EVALUATION_BATCH,
) -> list[dict[str, Any]]:
    """Rank all images for each caption and all captions for each image, one language at a time.

    Args:
        encoder: A model, such as `Encoder.load(name)`, or
            `ModelEncoder(trainer.model, trainer.processing_class)`.
        rows: Rows of one split; all their images are the gallery, in every language.
        languages: Languages of the queries; None means all that the rows have.
        features: Visual features computed ahead, used in place of the pictures.
        descriptions: Whether the gallery uses the rows' descriptions.
        batch_size: Images encoded per batch.

    Returns:
        For each language its metrics (`leccr.evaluation.metrics.retrieval_metrics`) and the protocol behind them.

    Raises:
        UserError: If the rows lack one of the languages, or a caption is empty.
    """
    return [ranked.result for ranked in rank_retrieval(encoder, rows, languages, features, descriptions, batch_size)]


def evaluate_sentences(
    encoder: Encoder, rows: Dataset, languages: Sequence[str] | None = None, batch_size: int = EVALUATION_BATCH
) -> list[dict[str, Any]]:
    """Rank all rows' source captions for each target caption, and the other way round, one language at a time.

    Args:
        encoder: A text encoder, such as a trained `modeling_leccr.CrossLingualModel` with its tokenizer.
        rows: Rows of one split; their pictures are not looked at.
        languages: Target languages; None means all that the rows have.
        batch_size: Texts encoded per batch.

    Returns:
        For each target language its metrics (`leccr.evaluation.metrics.sentence_metrics`) and their protocol.

    Raises:
        UserError: If the rows lack one of the languages, there is none, or a caption is empty.
    """
    return [ranked.result for ranked in rank_sentences(encoder, rows, languages, batch_size)]


def run_evaluation(
    checkpoints: Sequence[str],
    data: str,
    options: EvaluationOptions = EvaluationOptions(),  # noqa: B008 - frozen
    output: Path | None = None,
    plots: Path | None = None,
    calibrate: bool = False,
) -> list[dict[str, Any]]:
    """Evaluate models on the same rows, print one table, and write the figures as JSON: what `leccr evaluate` does.

    Text-only checkpoints are measured by retrieval between captions, and the pictures are not opened.

    Args:
        checkpoints: Folders or Hub names, as `Encoder.load` takes them.
        data: Folder of a prepared data set, or `scenes`.
        options: What to evaluate, and how.
        output: JSON file for the figures and their protocol.
        plots: Folder for plots (`leccr.evaluation.plots`) of one model.
        calibrate: Write into each checkpoint's folder what its scores mean on these data.

    Returns:
        For each model and language what `evaluate_retrieval` does, or `evaluate_sentences` for a text-only checkpoint,
        with the model's `parameters`, `texts_per_second`, `images_per_second`, and where the data have parallel
        captions `mean_rank_variance` with their number and languages.

    Raises:
        UserError: If there is no such checkpoint, data, split or device, only some checkpoints embed pictures, or
            several are to be drawn.
    """
    if plots is not None:
        from .plots import plot_evaluation  # before the work, as matplotlib may be missing
    device = choose_device(options.device)
    text_only = _check_together(checkpoints, drawn=plots is not None)
    _check_descriptions(options, calibrate)
    if calibrate:
        check_calibration(checkpoints, text_only)
    splits, _ = load_data(data)
    rows = split_of(splits, options.split, data)
    directions = SENTENCE_DIRECTIONS if text_only else IMAGE_DIRECTIONS
    where = {"data": str(data), "split": options.split, "speed": f"{SPEED}; on {device}"}
    facts = SCENES_FACTS if data == SCENES else read_facts(data)
    if facts is not None:
        where["data_protocol"] = facts.protocol
    results: list[dict[str, Any]] = []
    for checkpoint in checkpoints:
        encoder = _open(checkpoint, options, text_only, several=len(checkpoints) > 1)
        features = choose_features(data, encoder.takes_features) if data != SCENES and not text_only else None
        if options.skip_broken and not text_only and features is None:
            rows, options = without_broken_pictures(rows, options.split), replace(options, skip_broken=False)
        ranked = list(_ranked(encoder, rows, features, options, text_only))
        results += _results(encoder, ranked, features, where)
        if calibrate:
            write_calibration(checkpoint, ranked, encoder)
        del encoder  # before the next one is loaded
    print(f"{evaluation_table(results, directions)}\n")
    _print_remarks(results, text_only)
    if options.description_weight and not any(each["protocol"].get("images_with_description") for each in results):
        note(
            f"Note: no picture of the split {options.split} has a description, so --description-weight changes "
            "nothing; `leccr describe` writes them."
        )
    if output is not None:
        write_json(output, results)
        note(f"The figures and their protocol are in {output}.")
    if plots is not None:
        plot_evaluation(plots, ranked, None if text_only else rows, directions)
    return results


def _check_together(checkpoints: Sequence[str], drawn: bool) -> bool:
    """Check that models can be evaluated together, and return whether they embed only texts."""
    if drawn and len(checkpoints) > 1:
        raise UserError(f"--plots draws one model, not {len(checkpoints)}; evaluate each by itself for its plots.")
    text_only = {
        name: not name.startswith(SENTENCE_TRANSFORMERS) and model_type(name) == CROSS_LINGUAL for name in checkpoints
    }
    if len(set(text_only.values())) > 1:
        name = next(name for name, only in text_only.items() if only)
        raise UserError(f"{name} embeds no pictures, so its figures cannot be compared with the others; leave it out.")
    return any(text_only.values())


def _check_descriptions(options: EvaluationOptions, calibrate: bool) -> None:
    """Raise UserError if descriptions are left out where they count."""
    if options.descriptions:
        return
    if calibrate:
        raise UserError(
            "Descriptions change all scores, and galleries use them: leave --no-descriptions out to --calibrate."
        )
    if options.description_weight:
        raise UserError(
            f"--no-descriptions and --description-weight {options.description_weight:g} exclude each other."
        )


def _open(checkpoint: str, options: EvaluationOptions, text_only: bool, several: bool) -> Encoder:
    encoder = Encoder.load(checkpoint, options.device, options.dtype, text_only, options.trust_remote_code)
    if several and encoder.takes_descriptions:
        # The weight is for the dual encoders beside it.
        return encoder
    return with_sentences(encoder, options.description_weight)


def _ranked(
    encoder: Encoder, rows: Dataset, features: FeatureFile | None, options: EvaluationOptions, text_only: bool
) -> Iterable[RankedQueries]:
    if text_only:
        return rank_sentences(encoder, rows, options.languages, options.batch_size)
    return rank_retrieval(encoder, rows, options.languages, features, options.descriptions, options.batch_size)


def _results(
    encoder: Encoder, ranked: Sequence[RankedQueries], features: FeatureFile | None, where: dict[str, str]
) -> list[dict[str, Any]]:
    """Return the figures of one model, after adding its size, its speed and its MRV to them."""
    languages, ranks = parallel_ranks(ranked)
    same: dict[str, Any] = {"parameters": encoder.parameter_count()}
    if len(languages) > 1 and len(ranks):
        variance = mean_rank_variance(ranks)
        same["mean_rank_variance"] = {"value": variance, "captions": len(ranks), "languages": languages}
    for each in ranked:
        speed = {"texts_per_second": len(each.text_embeds) / each.text_seconds}
        if each.view_seconds and features is None:
            speed["images_per_second"] = len(each.views) / each.view_seconds
        protocol = {**each.result["protocol"], "checkpoint": encoder.name, **where}
        if "mean_rank_variance" in same:
            protocol["mean_rank_variance"] = MEAN_RANK_VARIANCE
        if encoder.description_weight is not None:
            protocol["description_weight"] = encoder.description_weight
        each.result.update(same | speed | {"protocol": protocol})
    return [each.result for each in ranked]


def _print_remarks(results: Sequence[dict[str, Any]], text_only: bool) -> None:
    """Say what the table does not: how its figures of speed came about, MRV, and captions that cannot be read."""
    print(f"Speed: {results[0]['protocol']['speed']}.")
    models = {result["protocol"]["checkpoint"]: result for result in results}
    for name, result in models.items():
        variance = result.get("mean_rank_variance")
        if variance:
            where = f"{variance['captions']:,} parallel captions in {', '.join(variance['languages'])}"
            print(f"{shown(name)}: mean rank variance (MRV) {variance['value']:.2f} over {where}.")
    if not text_only and len({result["language"] for result in results}) > 1 and "mean_rank_variance" not in results[0]:
        print("No mean rank variance (MRV): no caption has a translation in all of these languages.")
    for result in results:
        unread = result["protocol"][UNREAD]
        if unread:
            name = f"{shown(result['protocol']['checkpoint'])}, " if len(models) > 1 else ""
            print(
                f"{name}{result['language']}: {unread} captions cannot be read; half of their tokens or more are "
                "unknown."
            )
