"""Pictures per second of `leccr features`, as a share of what the tower's bare forward pass reaches.

    python -m benchmarks.features --shared ../shared

The pictures are the first of Flickr8k, prepared with their files embedded; the tower is MobileNetV2 at 224x224, with
feature maps pooled to 2x2. "Bare forward pass" runs the tower over the same batches of pixels, which are ready in
memory. "leccr features" is the command's own loop: reading rows, decoding, preprocessing, the tower, conversion to
float16, and writing; loading the tower is left out. The two take turns, and both may use all of torch's threads.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, disable_progress_bars

from hub_card.tables import markdown_table
from leccr.recipes import Recipe
from leccr.training.features import encode_rows, load_vision_tower
from processing.features import save_features
from processing.images import open_image
from processing.storage import read_splits, write_rows


def prepare(shared: Path, folder: Path, pictures: int) -> Dataset:
    paths = sorted((shared / "data" / "flickr8k-cn" / "images").glob("*.jpg"))[:pictures]
    write_rows(folder, "train", ({"id": path.stem, "image": {"path": str(path), "bytes": None}} for path in paths))
    return read_splits(folder)["train"]


def preprocessed(rows: Dataset, image_processor: Any, batch_size: int) -> list[torch.Tensor]:
    pictures = [open_image(row["image"], row["id"]) for row in rows]
    pixel_values = image_processor(pictures, return_tensors="pt")["pixel_values"]
    return list(pixel_values.split(batch_size))


@torch.inference_mode()
def forward(tower: Any, batches: list[torch.Tensor]) -> None:
    for pixel_values in batches:
        tower(pixel_values)


def features(path: Path, tower: Any, image_processor: Any, rows: Dataset, batch_size: int) -> None:
    encoded = [tokens.half() for tokens in encode_rows(tower, image_processor, rows, batch_size)]
    save_features(path, rows["id"], encoded)


def seconds(function: Callable[[], Any]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--pictures", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=8, help="as of `leccr features`")
    arguments = parser.parse_args()
    disable_progress_bars()
    vision = str(arguments.shared / "weights" / "mobilenet_v2_imagenet")
    tower, image_processor = load_vision_tower(Recipe("features", vision=vision, model={"vision_grid": 2}))
    with tempfile.TemporaryDirectory() as folder:
        rows = prepare(arguments.shared, Path(folder) / "data", arguments.pictures)
        batches = preprocessed(rows, image_processor, arguments.batch_size)
        bare, whole = [], []
        path = Path(folder) / "features.safetensors"
        # The first turn warms up.
        for _ in range(arguments.repeats + 1):
            bare.append(len(rows) / seconds(lambda: forward(tower, batches)))
            whole.append(
                len(rows) / seconds(lambda: features(path, tower, image_processor, rows, arguments.batch_size))
            )
    shares = [rate / most for rate, most in zip(whole[1:], bare[1:])]
    print(f"{len(rows)} pictures, batches of {arguments.batch_size}, {torch.get_num_threads()} threads; medians of")
    print(f"{arguments.repeats} turns; the share was {min(shares):.2f} to {max(shares):.2f}.\n")
    table = [
        {"what": "bare forward pass", "pictures per second": f"{statistics.median(bare[1:]):.1f}", "share": ""},
        {
            "what": "leccr features",
            "pictures per second": f"{statistics.median(whole[1:]):.1f}",
            "share": f"{statistics.median(shares):.2f}",
        },
    ]
    print(markdown_table(table))


if __name__ == "__main__":
    main()
