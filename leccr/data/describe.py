"""`leccr describe`: a description for every picture and video of a data set."""

import os
from pathlib import Path

import pyarrow.compute as compute
from datasets import Dataset, DatasetDict, concatenate_datasets
from PIL import Image as PillowImage

from processing.device import choose_device
from processing.generation.describe import DESCRIPTIONS_FILE, DescriptionReport, describe_pictures
from processing.generation.describers import Describer, EndpointDescriber, LocalDescriber
from processing.generation.endpoint import ChatClient, EndpointError
from processing.generation.journal import Journal
from processing.generation.prompts import DEFAULT_PROMPTS, load_prompts
from processing.generation.write_back import copy_data, rewrite_column
from processing.storage import read_splits
from processing.video import NUM_FRAMES, open_visual

from ..errors import UserError
from .facts import record_descriptions
from .loading import has_videos

DEFAULT_KEY_VARIABLE = "LECCR_API_KEY"


def run_description(
    data: str,
    *,
    model: str,
    endpoint: str | None = None,
    output: Path | None = None,
    prompts: str = DEFAULT_PROMPTS,
    revision: str | None = None,
    num_frames: int = NUM_FRAMES,
    batch_size: int = 8,
    dtype: str = "auto",
    device: str = "auto",
    temperature: float = 0.0,
    seed: int = 0,
    requests: int = 16,
    timeout: float = 120.0,
    key_variable: str = DEFAULT_KEY_VARIABLE,
    skip_broken: bool = False,
    restart: bool = False,
) -> DescriptionReport:
    """Describe the pictures and videos of a prepared data set and fill its column `description`.

    Answers are kept in `descriptions.jsonl` beside the data as they come, with the model and all its settings. A run
    that is stopped goes on where it was when it is started again.

    Args:
        data: Folder of the data set.
        model: Folder or Hub name of an image-text-to-text model, or what the endpoint calls it.
        endpoint: Address of an OpenAI-compatible server that runs the model.
        output: Folder for a copy with descriptions; by default the data set itself gets them.
        prompts: Built-in prompt set, or a YAML file.
        revision: Branch, tag or commit of the model on the Hub.
        num_frames: Most frames of a video that the model sees.
        batch_size: Pictures or videos at once, without an endpoint.
        dtype: Precision of the model, as for `processing.device.choose_dtype`, without an endpoint.
        device: Where the model runs, as for `processing.device.choose_device`, without an endpoint.
        temperature: 0 for the most probable answers.
        seed: Seed of drawn answers; those that are asked for a second time are always drawn.
        requests: Requests at once to the endpoint.
        timeout: Seconds to wait for an answer of the endpoint.
        key_variable: Environment variable that holds the endpoint's key, if it needs one.
        skip_broken: Leave pictures and videos that cannot be decoded without a description.
        restart: Discard the answers of earlier runs.

    Raises:
        UserError: If the data have neither pictures nor videos, or the endpoint failed on some of them, after the
            others are written.
        UserError: If the data, the model or the prompt set is at fault, or earlier answers have other settings.
    """
    choose_device(device)  # before anything is written
    questions = load_prompts(prompts)
    client = open_client(endpoint, model, timeout, key_variable)
    folder = open_output(data, output)
    rows = _rows_with_pictures(read_splits(folder), data)
    noun = "videos" if has_videos(rows) else "pictures"
    describer: Describer
    if client:
        describer = EndpointDescriber(client, requests)
    else:
        describer = LocalDescriber(model, revision, dtype, device, batch_size)

    def open_pictures(place: int) -> list[PillowImage.Image]:
        return open_visual(rows[place], num_frames)

    with Journal(folder / DESCRIPTIONS_FILE) as journal:
        if restart:
            journal.forget(journal)
        try:
            report = describe_pictures(
                list(rows["id"]),
                open_pictures,
                describer,
                questions,
                journal,
                temperature=temperature,
                seed=seed,
                skip_broken=skip_broken,
                num_frames=num_frames if has_videos(rows) else None,
            )
        except EndpointError as error:
            raise UserError(f"{error} Start the same command again to go on.") from error
        finally:
            if client:
                client.close()
        others_left = _write_descriptions(folder, journal)
    settings = {**describer.settings, "prompts": questions.name, "temperature": temperature}
    record_descriptions(folder, settings, others_left)
    _print(report, noun)
    if report.left:
        raise UserError(
            f"The endpoint failed on {report.left} of {len(rows)} {noun}; start the same command again for them."
        )
    return report


def open_client(endpoint: str | None, model: str, timeout: float, key_variable: str) -> ChatClient | None:
    """Return a client of the endpoint with the key from the environment, or None without an endpoint."""
    return ChatClient(endpoint, model, os.environ.get(key_variable), timeout) if endpoint else None


def open_output(data: str, output: Path | None) -> Path:
    """Return the folder to work in: the data set's own, or `output`, which becomes a copy of it."""
    if output is None:
        return Path(data)
    copy_data(data, output)
    return output


def _rows_with_pictures(splits: DatasetDict, data: str) -> Dataset:
    rows = concatenate_datasets([split.select_columns(["id", "image", "video"]) for split in splits.values()])
    visual = compute.or_(*(compute.is_valid(rows.data.column(name)) for name in ("image", "video")))
    there = [place for place, valid in enumerate(visual.to_pylist()) if valid]
    if not there:
        raise UserError(f"{data} has no pictures or videos to describe.")
    if len(there) < len(rows):
        print(f"{len(rows) - len(there)} of {len(rows)} rows have no picture or video and get no description.")
    return rows.select(there)


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
    print(f"Descriptions: {report.described}; {noun} without one: {report.empty + report.left}.")
    if report.retried:
        print(f"Answers asked for again: {count_words(report.retried)}.")
    if report.useless:
        print(f"Left out in the end: {count_words(report.useless)}.")


def count_words(counts: dict[str, int]) -> str:
    """Return counts as words, for example `3 empty, 1 refusal`."""
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
