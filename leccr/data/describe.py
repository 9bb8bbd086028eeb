"""`leccr describe`: a description for every picture and video of a data set."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyarrow.compute as compute
from datasets import Dataset, DatasetDict, concatenate_datasets
from PIL import Image as PillowImage

from processing.descriptions import DESCRIPTIONS_FILE
from processing.device import choose_device
from processing.generation.answers import PROBLEM_WORDS
from processing.generation.describe import DescriptionReport, describe_pictures
from processing.generation.describers import Describer, EndpointDescriber, LocalDescriber
from processing.generation.endpoint import ChatClient, EndpointError
from processing.generation.journal import Journal
from processing.generation.prompts import load_prompts
from processing.generation.write_back import copy_data, rewrite_column
from processing.notes import note
from processing.storage import read_splits
from processing.video import open_visual

from ..errors import UserError
from .facts import record_descriptions
from .loading import has_videos
from .options import DescribeOptions, ModelOptions


def run_description(data: str, options: DescribeOptions) -> DescriptionReport:
    """Describe the pictures and videos of a prepared data set and fill its column `description`.

    Answers are kept in `descriptions.jsonl` next to the data as they come, with the model and all its settings. A run
    that was stopped resumes when it is started again.

    Args:
        data: Folder of the data set.
        options: The model and how it is asked.

    Raises:
        UserError: If the data, the model or the prompt set is at fault, earlier answers have other settings, or the
            endpoint failed on some pictures, after the others are written.
    """
    choose_device(options.device)  # before anything is written
    questions = load_prompts(options.prompts)
    folder = open_output(data, options.output)
    rows = _rows_with_pictures(read_splits(folder), data)
    videos = has_videos(rows)

    def open_pictures(index: int) -> list[PillowImage.Image]:
        return open_visual(rows[index], options.num_frames)

    with open_describer(options) as describer, Journal(folder / DESCRIPTIONS_FILE) as journal:
        if options.restart:
            journal.forget(journal)
        report = describe_pictures(
            list(rows["id"]),
            open_pictures,
            describer,
            questions,
            journal,
            temperature=options.temperature,
            seed=options.seed,
            skip_broken=options.skip_broken,
            num_frames=options.num_frames if videos else None,
        )
        others_left = _write_descriptions(folder, journal)
    settings = {**describer.settings, "prompts": questions.name, "temperature": options.temperature}
    record_descriptions(folder, settings, others_left)
    noun = "videos" if videos else "pictures"
    _print(report, noun)
    if report.left:
        raise UserError(
            f"The endpoint failed on {report.left} of {len(rows)} {noun}; run the same command again for them."
        )
    return report


@contextmanager
def open_describer(options: ModelOptions) -> Iterator[Describer]:
    """Load a model that describes pictures, or reach it through its server, for as long as the context lasts.

    Raises:
        UserError: If there is no such model, or the server fails within the context.
    """
    with open_client(options, options.model) as client:
        if client:
            yield EndpointDescriber(client, options.requests)
        else:
            yield LocalDescriber(
                options.model,
                options.revision,
                options.dtype,
                options.device,
                batch_size=options.batch_size,
                trust_remote_code=options.trust_remote_code,
            )


@contextmanager
def open_client(options: ModelOptions, model: str) -> Iterator[ChatClient | None]:
    """Give a client of the endpoint with the key from the environment, or None without an endpoint.

    Raises:
        UserError: If the server fails within the context.
    """
    if options.endpoint is None:
        yield None
        return
    client = ChatClient(options.endpoint, model, os.environ.get(options.key_variable), timeout=options.timeout)
    try:
        yield client
    except EndpointError as error:
        raise UserError(f"{error} Run the same command again to resume.") from error
    finally:
        client.close()


def open_output(data: str, output: Path | None) -> Path:
    """Return the folder to work in: the data set's own, or `output`, which becomes a copy of it."""
    if output is None:
        return Path(data)
    copy_data(data, output)
    return output


def _rows_with_pictures(splits: DatasetDict, data: str) -> Dataset:
    rows = concatenate_datasets([split.select_columns(["id", "image", "video"]) for split in splits.values()])
    visual = compute.or_(*(compute.is_valid(rows.data.column(name)) for name in ("image", "video")))
    visible = [index for index, valid in enumerate(visual.to_pylist()) if valid]
    if not visible:
        raise UserError(f"{data} has no pictures or videos to describe.")
    if len(visible) < len(rows):
        note(f"{len(rows) - len(visible)} of {len(rows)} rows have no picture or video and get no description.")
    return rows.select(visible)


def _write_descriptions(folder: Path, journal: Journal) -> bool:
    """Fill the column and return whether some rows keep a description that is not the journal's."""
    others_left = False

    def description(row: dict[str, str]) -> str | None:
        nonlocal others_left
        record = journal.get((row["id"],))
        others_left |= record is None and row["description"] is not None
        return record["description"] if record else row["description"]

    rewrite_column(folder, "description", ["id", "description"], description)
    return others_left


def _print(report: DescriptionReport, noun: str) -> None:
    note(f"Described {report.described} {noun}; {report.empty + report.left} have no description.")
    if report.retried:
        note(f"Asked again, because the first answer was unusable: {count_problems(report.retried)}.")
    if report.useless:
        note(f"Left out in the end: {count_problems(report.useless)}.")


def count_problems(counts: Mapping[str, int]) -> str:
    """Return how often each problem occurred, for example `a refusal (1), empty (3)`."""
    return ", ".join(f"{PROBLEM_WORDS.get(name, name)} ({count})" for name, count in sorted(counts.items()))
