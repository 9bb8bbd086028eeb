"""Pictures per second of `leccr features` and `leccr index`, as a share of what the model's bare forward pass reaches.

    python -m benchmarks.features --shared ../shared                              # a minute
    python -m benchmarks.features --shared ../shared --photos large --pictures 32 --workers 2 4
    python -m benchmarks.features --shared ../shared --photos large --pictures 32 --tower vit

The pictures are the first of Flickr8k with their files embedded, or JPEGs of 12 megapixels with detail of all sizes.
The tower is MobileNetV2 at 224x224 with feature maps pooled to 2x2, or a ViT-B/16 of random weights. "Bare forward
pass" runs over the same batches of pixels, which are ready in memory. "leccr features" is the command's own loop:
reading rows, decoding, preprocessing, the tower, conversion to float16, and writing; "leccr index" builds a gallery of
a folder, with thumbnails and hashes; loading the model is left out of both. All take turns, and all may use all of
torch's threads. "Model busy" is the share of the time in which the model was at work, as the commands say it. Results
go to `results/features.json`.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, disable_progress_bars
from transformers import AutoTokenizer, BertConfig, CLIPImageProcessorPil, ViTConfig, ViTModel

from hub_card.tables import markdown_table
from leccr.gallery import Gallery
from leccr.models.encoder import Encoder, Stopwatch
from leccr.models.model_encoder import ModelEncoder
from leccr.recipes import Recipe
from leccr.training.features import encode_rows, load_vision_tower
from modeling_leccr import LeccrModel
from processing.features import save_features
from processing.images import open_image
from processing.processing_leccr import LeccrProcessor
from processing.storage import read_splits, write_rows

from .large_photos import make_photos

RESULTS = Path(__file__).parent / "results" / "features.json"
INDEX_BATCH = 32


def photos_of(kind: str, shared: Path, folder: Path, pictures: int) -> list[Path]:
    if kind == "large":
        return sorted(make_photos(folder / "large", pictures, "jpg").iterdir())
    photos = folder / "photos"
    photos.mkdir()
    for path in sorted((shared / "data" / "flickr8k-cn" / "images").glob("*.jpg"))[:pictures]:
        (photos / path.name).write_bytes(path.read_bytes())
    return sorted(photos.iterdir())


def rows_of(paths: list[Path], folder: Path) -> Dataset:
    """Return prepared rows with the files embedded."""
    images = ({"id": path.stem, "image": {"path": path.name, "bytes": path.read_bytes()}} for path in paths)
    write_rows(folder, "train", images)
    return read_splits(folder)["train"]


def recipe_of(tower: str, shared: Path, folder: Path) -> Recipe:
    if tower == "mobilenet":
        vision = str(shared / "weights" / "mobilenet_v2_imagenet")
        return Recipe("features", vision=vision, model={"vision_grid": 2})
    ViTModel(ViTConfig(), add_pooling_layer=False).save_pretrained(folder)
    CLIPImageProcessorPil().save_pretrained(folder)
    return Recipe("features", vision=str(folder))


def encoder_of(recipe: Recipe, image_processor: Any, shared: Path) -> Encoder:
    """Return a model for `leccr index`, whose text tower is as small as can be."""
    tokenizer = AutoTokenizer.from_pretrained(shared / "tokenizers" / "bert-base-multilingual-cased")
    text = BertConfig(vocab_size=len(tokenizer), num_hidden_layers=0, hidden_size=64, num_attention_heads=4)
    model = LeccrModel.from_pretrained_towers(recipe.vision, text, projection_dim=64, **recipe.model)
    return ModelEncoder(model, LeccrProcessor(image_processor, tokenizer), "index")


def preprocessed(rows: Dataset, image_processor: Any, batch_size: int) -> list[torch.Tensor]:
    pictures = [open_image(row["image"], row["id"], side=224) for row in rows]
    pixel_values = image_processor(pictures, return_tensors="pt")["pixel_values"]
    return list(pixel_values.split(batch_size))


@torch.inference_mode()
def forward(tower: Any, batches: list[torch.Tensor]) -> None:
    for pixel_values in batches:
        tower(pixel_values)


def seconds(function: Callable[[], Any]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


class Runs:
    """What takes turns, on the same photos.

    Args:
        tower: Name of the tower.
        photos: `flickr` or `large`.
        pictures: Number of photos.
        batch_size: Of `leccr features`.
        shared: The folder with weights and data.
        folder: An empty folder.
    """

    def __init__(self, tower: str, photos: str, pictures: int, batch_size: int, shared: Path, folder: Path) -> None:
        self.folder, self.batch_size = folder, batch_size
        self.paths = photos_of(photos, shared, folder, pictures)
        recipe = recipe_of(tower, shared, folder / "tower")
        self.tower, self.image_processor = load_vision_tower(recipe)
        self.rows = rows_of(self.paths, folder / "data")
        self.batches = preprocessed(self.rows, self.image_processor, batch_size)
        self.encoder = encoder_of(recipe, self.image_processor, shared)
        pixels = torch.cat(self.batches)
        self.prepared = [{"pixel_values": picture[None]} for picture in pixels]
        self.busy: dict[str, float] = {}

    def bare(self) -> None:
        forward(self.tower, self.batches)

    def bare_views(self) -> None:
        self.encoder.views(self.prepared, [None] * len(self.prepared), INDEX_BATCH)

    def features(self, name: str, workers: int, processes: bool) -> None:
        watch = Stopwatch()
        reading = {"at_work": watch, "workers": workers, "processes": processes}
        began = time.perf_counter()
        encoded = encode_rows(self.tower, self.image_processor, self.rows, self.batch_size, **reading)
        save_features(self.folder / "features", self.rows["id"], [tokens.half() for tokens in encoded])
        self.busy[name] = watch.seconds / (time.perf_counter() - began)

    def index(self, name: str, workers: int, processes: bool) -> None:
        with tempfile.TemporaryDirectory() as gallery:
            options = {"workers": workers, "processes": processes, "batch_size": INDEX_BATCH}
            Gallery.build(self.paths[0].parent, self.encoder, Path(gallery) / "g", **options).close()


def main() -> None:
    """Measure, print a table and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--photos", choices=["flickr", "large"], default="flickr")
    parser.add_argument("--tower", choices=["mobilenet", "vit"], default="mobilenet")
    parser.add_argument("--pictures", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=8, help="of `leccr features`")
    parser.add_argument("--workers", type=int, nargs="+", default=[4], help="threads, and processes")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    disable_progress_bars()
    with tempfile.TemporaryDirectory() as folder:
        runs = Runs(given.tower, given.photos, given.pictures, given.batch_size, given.shared, Path(folder))
        turns: dict[str, tuple[str, Callable[[], None]]] = {"forward": ("", runs.bare), "views": ("", runs.bare_views)}
        for workers in given.workers:
            for kind in ("threads", "processes"):
                for command, against in (("features", "forward"), ("index", "views")):
                    name = f"leccr {command}, {workers} {kind}"
                    run = getattr(runs, command)
                    turns[name] = against, lambda r=run, n=name, w=workers, k=kind: r(n, w, k == "processes")
        rates: dict[str, list[float]] = {name: [] for name in turns}
        # The first turn warms up.
        for turn in range(given.repeats + 1):
            for name, (_, run) in turns.items():
                rate = len(runs.paths) / seconds(run)
                if turn:
                    rates[name].append(rate)
    lines = []
    for name, (against, _) in turns.items():
        shares = [rate / most for rate, most in zip(rates[name], rates[against])] if against else []
        lines.append(
            {
                "what": name,
                "pictures per second": f"{statistics.median(rates[name]):.1f}",
                "share of the bare pass": f"{statistics.median(shares):.2f}" if shares else "",
                "model busy": f"{runs.busy[name]:.0%}" if name in runs.busy else "",
            }
        )
    threads = torch.get_num_threads()
    print(f"{given.tower}, {len(runs.paths)} {given.photos} pictures, {threads} threads; medians of {given.repeats}.\n")
    print(markdown_table(lines))
    about = {name: str(value) for name, value in vars(given).items() if name not in ("shared", "out")}
    results = json.loads(given.out.read_text()) if given.out.exists() else {}
    results[f"{given.tower}, {given.photos}"] = {"settings": about, "threads": threads, "rates": rates, "table": lines}
    given.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
