"""Visual features computed once with a frozen tower, so that training and evaluation need not run it again."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm.auto import tqdm

from modeling_leccr import VisionTower
from processing.caption_collator import stable_id
from processing.device import check_names, choose_device, to_device
from processing.features import copy_id, save_features
from processing.images import BACKGROUND, RandomCrop, cropped_side, needed_side
from processing.notes import note
from processing.read_ahead import READING_THREADS, read_ahead
from processing.video import open_visual
from processing.writing import atomic_file, own_folder, write_text

from ..data.features import features_path, tower_settings
from ..data.loading import for_videos, load_data
from ..defaults import FEATURES_BATCH
from ..errors import UserError
from ..models.build import build_image_processor
from ..models.encoder import Stopwatch
from ..recipes import Recipe

PART_ROWS = 512
STORES = {"fp16": torch.float16, "fp32": torch.float32}


def run_features(
    data: str,
    recipe: Recipe,
    store: str = "fp16",
    batch_size: int = FEATURES_BATCH,
    copies: int = 0,
    device: str = "auto",
    dtype: str = "auto",
    workers: int = READING_THREADS,
    processes: bool = False,
) -> Path:
    """Write the features of a tower next to a prepared data set: what `leccr features` does.

    Those of several towers can be next to each other; training and evaluation take the ones of their own tower.

    A picture becomes the tower's tokens (N, F). If the data have videos, a video becomes the summary tokens (T, F) of
    its frames, and a picture that of its only one. Finished parts stay in a folder next to it until all are done, so
    that an interrupted run resumes where it stopped.

    Args:
        data: Folder of the data set; every split's pictures and videos are encoded.
        recipe: Its vision tower, how feature maps are pooled, and the number of a video's frames.
        store: How features are stored: `fp16` or `fp32`.
        batch_size: Pictures or frames encoded per batch, but whole videos.
        copies: Varied copies of each training picture to encode besides, by the recipe's augmentation, from which
            training then draws.
        device: Where the tower runs, as for `processing.device.choose_device`.
        dtype: Its precision, as for `processing.device.choose_dtype`.
        workers: Decoding threads, or processes.
        processes: Whether to decode in processes.

    Returns:
        The file.

    Raises:
        UserError: If the features exist already, the tower has no pretrained weights, or there is no such device,
            precision or store.
        UserError: If a picture or a video cannot be decoded.
    """
    if store not in STORES:
        raise UserError(f"--store is {store!r}, but has to be one of {', '.join(STORES)}.")
    chosen = choose_device(device)
    check_names(dtype=dtype)
    if not isinstance(recipe.vision, str):
        raise UserError(f"Recipe {recipe.name} has no pretrained vision tower; name one under vision.")
    splits, _ = load_data(data)
    recipe = for_videos(recipe, splits)
    target = features_path(data, recipe)
    if target.exists():
        raise UserError(f"{target} exists already; remove it to compute the features again.")
    num_frames, background = recipe.processor.get("num_frames"), recipe.processor.get("background", BACKGROUND)
    tower, image_processor = load_vision_tower(recipe)
    tower = to_device(tower, chosen, dtype)
    parts = own_folder(target.with_suffix(".parts"))
    check_same_run(parts, _settings(recipe, store, dtype, copies))
    rounds = [(name, 0) for name in splits] + [("train", copy) for copy in range(1, copies + 1) if "train" in splits]
    ids = [copy_id(row_id, copy) if copy else row_id for name, copy in rounds for row_id in splits[name]["id"]]
    paths = []
    at_work = Stopwatch()
    with tqdm(total=len(ids), unit="row", desc="Computing features") as progress:
        for name, copy in rounds:
            rows = splits[name]
            vary = Variation(RandomCrop(**recipe.augmentation), copy) if copy else None
            for start in range(0, len(rows), PART_ROWS):
                part = rows.select(range(start, min(start + PART_ROWS, len(rows))))
                paths.append(parts / f"{name}-{copy}-{start:08d}.safetensors")
                if paths[-1].exists():
                    progress.update(len(part))
                    continue
                encoded = []
                for tokens in encode_rows(
                    tower, image_processor, part, batch_size, num_frames, vary, background, at_work, workers, processes
                ):
                    encoded.append(tokens.to(STORES[store]))
                    progress.update()
                write_part(paths[-1], encoded)
    features = (tokens for path in paths for tokens in read_part(path))
    settings = json.dumps(tower_settings(recipe))
    save_features(target, ids, features, tower=str(recipe.vision), copies=str(copies), settings=settings)
    for path in parts.iterdir():
        path.unlink()
    parts.rmdir()
    if at_work.busy():
        note(at_work.busy())
    return target


def _settings(recipe: Recipe, store: str, dtype: str, copies: int) -> dict[str, Any]:
    """Return what features depend on, so that a run resumes no other."""
    return {
        "vision": recipe.vision,
        **tower_settings(recipe),
        "store": store,
        "dtype": dtype,
        "augmentation": recipe.augmentation if copies else None,
    }


def load_vision_tower(recipe: Recipe) -> tuple[VisionTower, Any]:
    """Load a recipe's pretrained vision tower, in eval mode, and the image processor that training would use."""
    grid, interpolate = recipe.model.get("vision_grid"), recipe.model.get("interpolate_pos_encoding", False)
    return VisionTower.from_pretrained(recipe.vision, grid, interpolate), build_image_processor(recipe)


class Variation:
    """Varies pictures by chance, but each row's in the same way in every run, and all frames of a video alike.

    Args:
        augment: What varies a picture.
        copy: Number of the copy, which makes it differ from the others.
    """

    def __init__(self, augment: RandomCrop, copy: int) -> None:
        self.augment = augment
        self.copy = copy

    def __call__(self, pictures: Sequence[Any], name: str) -> list[Any]:
        """Return the varied pictures of the row of this id."""
        seed = stable_id(copy_id(name, self.copy))
        return [self.augment(picture, torch.Generator().manual_seed(seed)) for picture in pictures]


@torch.inference_mode()
def encode_rows(
    tower: VisionTower,
    image_processor: Any,
    rows: Dataset,
    batch_size: int,
    num_frames: int | None = None,
    vary: Variation | None = None,
    background: str = BACKGROUND,
    at_work: Stopwatch | None = None,
    workers: int = READING_THREADS,
    processes: bool = False,
) -> Iterator[Tensor]:
    """Yield the tower's tokens (N, F) for each row's picture, or the summary tokens (T, F) of its frames, on the CPU.

    Args:
        tower: The vision tower, in eval mode.
        image_processor: Its image processor.
        rows: Rows of the project's schema.
        batch_size: Pictures or frames encoded per batch, but whole videos.
        num_frames: Most frames of a video, to which a picture is a video of one frame; None for pictures only.
        vary: What varies the pictures before they are encoded.
        background: What is seen through transparent parts.
        at_work: Measures the tower.
        workers: Decoding threads, or processes.
        processes: Whether to decode in processes.
    """
    at_work = at_work or Stopwatch()
    side = cropped_side(needed_side(image_processor), vary and vary.augment)

    def read(positions: Sequence[int]) -> tuple[Tensor, list[int]]:
        pixels: list[Tensor] = []
        lengths = []
        for position in positions:
            row = rows[position]
            shown = open_visual(row, num_frames or 1, background, side)
            if vary is not None:
                shown = vary(shown, row["id"])
            # One after the other, so that of many large photos one is in memory.
            pixels += [image_processor(picture, return_tensors="pt")["pixel_values"] for picture in shown]
            lengths.append(len(shown))
        return torch.cat(pixels), lengths

    size = max(1, batch_size // (num_frames or 1))
    device = next(tower.parameters()).device
    jobs = [range(start, min(start + size, len(rows))) for start in range(0, len(rows), size)]
    for pixel_values, lengths in read_ahead(read, jobs, workers, processes):
        with at_work:
            tokens = tower(pixel_values.to(device)).cpu()
        yield from tokens if num_frames is None else tokens[:, 0].split(lengths)


def check_same_run(parts: Path, about: dict[str, Any]) -> None:
    """Write down what a run computes, in the folder of its parts.

    Raises:
        UserError: If the folder has parts of a run that computes something else.
    """
    path = parts / "about.json"
    text = json.dumps(about, sort_keys=True)
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise UserError(f"{parts} holds parts of another run; remove that folder to start again.")
    write_text(path, text)


def write_part(path: Path, features: Sequence[Tensor]) -> None:
    """Write features (N_i, F) as a finished part."""
    lengths = torch.tensor([len(tokens) for tokens in features])
    with atomic_file(path) as part:
        save_file({"features": torch.cat(list(features)), "lengths": lengths}, part)


def read_part(path: Path) -> tuple[Tensor, ...]:
    """Return the features (N_i, F) of a part."""
    part = load_file(path)
    return part["features"].split(part["lengths"].tolist())
