"""Figures of an evaluation as tables for the card, as the card's `model-index`, and as `.eval_results` records."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from huggingface_hub import EvalResult, EvalResultEntry
from huggingface_hub.repocard_data import eval_results_to_model_index

from processing.errors import UserError
from processing.languages import language_name

from .tables import markdown_table

CUTOFFS = (1, 5, 10)
ORIGINS = {"source": "the original ones", "human": "written by people"}
TOTAL = "sum_of_hit_rates"
# The first direction starts from texts in the language that the line names.
DIRECTIONS = {
    ("text_to_image", "image_to_text"): ("text→image", "image→text"),
    ("target_to_source", "source_to_target"): ("to source caption", "from source caption"),
}

EvaluationResult = Mapping[str, Any]


def check_results(results: Any, name: str) -> list[EvaluationResult]:
    """Return what `leccr evaluate --out` wrote, after checking that it is that.

    Raises:
        UserError: If it is something else.
    """
    try:
        for result in results:
            directions_of(result)
            result["language"], result["protocol"]["split"], result["protocol"]["data"]
            float(result[TOTAL])
    except (KeyError, TypeError, ValueError, StopIteration) as error:
        raise UserError(f"{name} holds no figures; give a file that `leccr evaluate --out` wrote.") from error
    return list(results)


def directions_of(result: EvaluationResult) -> tuple[str, str]:
    """Return the names of the two directions that a result is of.

    Raises:
        StopIteration: If it is of none.
    """
    return next(names for names in DIRECTIONS if all(f"{name}_hit_rate_1" in result for name in names))


def validation_results(training: Mapping[str, Any]) -> list[EvaluationResult]:
    """Return the validation figures in a training report as results, one per language."""
    figures = {name.removeprefix("eval_"): value for name, value in (training.get("validation") or {}).items()}
    languages = [name.removesuffix(f"_{TOTAL}") for name in figures if name.endswith(f"_{TOTAL}")]
    results = []
    for language in languages:
        prefix = f"{language}_"
        own = {name.removeprefix(prefix): value for name, value in figures.items() if name.startswith(prefix)}
        results.append({"language": language, **own})
    return [result for result in results if any(f"{names[0]}_hit_rate_1" in result for names in DIRECTIONS)]


def results_section(results: Sequence[EvaluationResult], takes_descriptions: bool = True) -> str:
    """Return tables of results, each with its protocol under it: one table for each data set, split and direction.

    Args:
        results: What `leccr evaluate --out` wrote.
        takes_descriptions: Whether the model takes descriptions of pictures.
    """
    groups: dict[tuple[Any, ...], list[EvaluationResult]] = {}
    for result in results:
        protocol = result["protocol"]
        key = (data_name(result), protocol["split"], directions_of(result), protocol.get("images_with_description"))
        groups.setdefault(key, []).append(result)
    parts = []
    for (data, split, _, described), group in groups.items():
        use = "" if described is None or not takes_descriptions else f", with{'' if described else 'out'} descriptions"
        parts += [f"### {data}, split `{split}`{use}", results_table(group), protocol_list(group, takes_descriptions)]
    return "\n\n".join(parts)


def results_table(results: Sequence[EvaluationResult]) -> str:
    """Return one table with a line for each language."""
    first, second = directions_of(results[0])
    titles = DIRECTIONS[(first, second)]
    return markdown_table(
        [
            {
                "language": f"{language_name(result['language'])} ({result['language']})",
                f"{titles[0]} hit@1 / 5 / 10": _hit_rates(result, first),
                f"{titles[1]} hit@1 / 5 / 10": _hit_rates(result, second),
                "median ranks": f"{result[f'{first}_median_rank']:g} / {result[f'{second}_median_rank']:g}",
                "SumR": f"{result[TOTAL]:.1f}",
            }
            for result in results
        ]
    )


def protocol_list(results: Sequence[EvaluationResult], takes_descriptions: bool = True) -> str:
    """Return how the figures of one table came about, as a list; for the arguments see `results_section`."""
    protocol = results[0]["protocol"]
    lines = []
    if "images" in protocol:
        described, count = protocol["images_with_description"], protocol["images"]
        share = "each" if described == count else f"{described:,} of them"
        use = f", {share} with its description" if described and takes_descriptions else ""
        lines.append(f"Searched: all {count:,} pictures of the split{use}.")
    for result in results:
        own = result["protocol"]
        count = own.get("captions", own.get("target_captions"))
        origins = [_origin(origin) for origin in own.get("caption_origin", [])]
        lines.append(f"{language_name(result['language'])}: {', '.join([f'{count:,} captions', *origins])}.")
    variance = results[0].get("mean_rank_variance")
    if variance:
        said = f"{variance['captions']:,} parallel captions in {', '.join(map(language_name, variance['languages']))}"
        lines.append(f"Mean rank variance (MRV) over {said}: {variance['value']:.2f}.")
    if "ties" in protocol:
        lines.append(f"Ties {protocol['ties']}. Score: {protocol['score']}.")
    return "\n".join(f"- {line}" for line in lines)


def data_name(result: EvaluationResult) -> str:
    """Return the title of the data that a result is of, or the last part of their folder's name."""
    return result["protocol"].get("title") or PurePath(str(result["protocol"]["data"])).name


def _origin(origin: str) -> str:
    return ORIGINS.get(origin) or f"translated by {origin.removeprefix('machine:')}"


def model_index(
    results: Sequence[EvaluationResult], model_name: str, dataset: str | None = None
) -> list[dict[str, Any]]:
    """Return the `model-index` of a card.

    Args:
        results: What `leccr evaluate --out` wrote.
        model_name: Name of the model.
        dataset: Name of the data set on the Hub, if it is published.
    """
    entries = [
        EvalResult(
            task_type="retrieval",
            task_name="Cross-lingual retrieval",
            # Where the data are not on the Hub, it wants a name of that form.
            dataset_type=dataset or re.sub(r"[^\w.-]+", "-", data_name(result)).lower(),
            dataset_name=f"{data_name(result)} ({language_name(result['language'])})",
            dataset_config=result["language"],
            dataset_split=result["protocol"]["split"],
            metric_type=metric,
            metric_name=name,
            metric_value=round(float(result[metric]), 2),
        )
        for result in _headlines(results)
        for metric, name in _metrics(result)
    ]
    return eval_results_to_model_index(model_name, entries) if entries else []


def _headlines(results: Sequence[EvaluationResult]) -> list[EvaluationResult]:
    """Return results without those that differ from another only by using no descriptions: the index cannot say it."""
    kept: dict[tuple[str, ...], EvaluationResult] = {}
    for result in sorted(results, key=lambda result: not result["protocol"].get("images_with_description")):
        kept.setdefault((data_name(result), result["protocol"]["split"], result["language"]), result)
    return [result for result in results if any(result is headline for headline in kept.values())]


def eval_records(results: Sequence[EvaluationResult], dataset: str) -> dict[str, list[EvalResultEntry]]:
    """Return records for the Hub's leaderboards by the name of their file in `.eval_results/`.

    One file holds one data set, split and language. A record's task is `<language>_<metric>`; the notes say the
    protocol. No dates: the Hub takes that of the commit.

    Args:
        results: What `leccr evaluate --out` wrote.
        dataset: Name of the data set on the Hub, which the format wants.
    """
    files: dict[str, list[EvalResultEntry]] = {}
    for result in results:
        protocol, language = result["protocol"], result["language"]
        described = protocol.get("images_with_description")
        notes = f"split {protocol['split']}" + ("" if described is None else f", {described} images with a description")
        name = f"{dataset.rpartition('/')[2]}_{protocol['split']}_{language}"
        if described == 0:
            name += "_without_descriptions"
        files[f"{name}.yaml"] = [
            EvalResultEntry(
                dataset_id=dataset, task_id=f"{language}_{metric}", value=round(float(result[metric]), 2), notes=notes
            )
            for metric, _ in _metrics(result)
        ]
    return files


def _metrics(result: EvaluationResult) -> Iterator[tuple[str, str]]:
    names = directions_of(result)
    for name, title in zip(names, DIRECTIONS[names]):
        for cutoff in CUTOFFS:
            yield f"{name}_hit_rate_{cutoff}", f"{title} hit rate at {cutoff} (%)"
    yield TOTAL, "Sum of the six hit rates (SumR)"


def _hit_rates(result: EvaluationResult, direction: str) -> str:
    return " / ".join(f"{result[f'{direction}_hit_rate_{cutoff}']:.1f}" for cutoff in CUTOFFS)
