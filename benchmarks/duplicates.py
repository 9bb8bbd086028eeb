"""How well near duplicates are found: copies of photos of Flickr8k among other photos.

    python -m benchmarks.duplicates --shared ../shared [--model CHECKPOINT]

Some photos get copies: resized, recompressed, cropped and mirrored. They are embedded together with photos that have
none, and for thresholds around the two of `leccr.gallery.alike` and `leccr.gallery.looks`, one for views and one for
thumbnails, the found pairs are counted: precision is the share of them that are of one photo, recall the share of the
copies of each kind that are found with their original. Without a model, the only view of a picture is what the shared
MobileNetV2 says of it. It writes `results/duplicates.json`.
"""

import argparse
import io
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from transformers import AutoImageProcessor, AutoModel

from hub_card.tables import markdown_table
from leccr.drawing.thumbnail import jpeg_thumbnail
from leccr.gallery.alike import THRESHOLD, Likeness, signatures, squared_distances
from leccr.gallery.looks import LIMIT, look_distances, look_of
from leccr.models.encoder import Encoder

RESULTS = Path(__file__).parent / "results" / "duplicates.json"
# Largest distances by views and by thumbnails; views alone without the latter.
THRESHOLDS = ((0.1, np.inf), (0.3, np.inf), (THRESHOLD, np.inf), (0.3, LIMIT), (THRESHOLD, LIMIT / 2))
THRESHOLDS += ((THRESHOLD, LIMIT), (THRESHOLD, 2 * LIMIT), (np.inf, LIMIT))


def recompressed(picture: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


def cropped(picture: Image.Image, share: float) -> Image.Image:
    width, height = (round(side * (1 - share) / 2) for side in picture.size)
    return picture.crop((width, height, picture.width - width, picture.height - height))


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "resized to a half": lambda picture: picture.resize((picture.width // 2, picture.height // 2)),
    "resized to a quarter": lambda picture: picture.resize((picture.width // 4, picture.height // 4)),
    "JPEG of quality 50": lambda picture: recompressed(picture, 50),
    "JPEG of quality 20": lambda picture: recompressed(picture, 20),
    "cropped to 90 %": lambda picture: cropped(picture, 0.9),
    "cropped to 80 %": lambda picture: cropped(picture, 0.8),
    "mirrored": ImageOps.mirror,
}

BATCH = 32


class Views:
    """An engine of the views of some pictures, (K, D) each."""

    def __init__(self, views: Sequence[np.ndarray]) -> None:
        self.views = views

    def at(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        own = [self.views[position] for position in positions]
        return np.concatenate(own), np.array([len(each) for each in own])


def embed(pictures: Iterable[Image.Image], shared: Path, model: str | None) -> list[np.ndarray]:
    """Return the views of pictures."""
    views: list[np.ndarray] = []
    if model is not None:
        encoder = Encoder.load(model)
        waiting = list(pictures)
        for index in range(0, len(waiting), BATCH):
            rows = [{"id": "", "image": picture, "video": None} for picture in waiting[index : index + BATCH]]
            views += list(encoder.views([encoder.prepare(row) for row in rows], [None] * len(rows), BATCH))
        return views
    folder = shared / "weights" / "mobilenet_v2_imagenet"
    tower, processor = AutoModel.from_pretrained(folder).eval(), AutoImageProcessor.from_pretrained(folder)
    waiting = list(pictures)
    with torch.inference_mode():
        for index in range(0, len(waiting), BATCH):
            inputs = processor(waiting[index : index + BATCH], return_tensors="pt")
            views += [row[None].numpy() for row in tower(**inputs).pooler_output.flatten(1)]
    return views


def measure(files: Sequence[Path], copied: int, shared: Path, model: str | None) -> dict[str, object]:
    """Return precision and recall by threshold; the first `copied` of the files get copies."""

    def pictures() -> Iterable[Image.Image]:
        for file in files:
            yield Image.open(file).convert("RGB")
        for change in COPIES.values():
            yield from (change(Image.open(file).convert("RGB")) for file in files[:copied])

    views = Views(embed(pictures(), shared, model))
    looks = np.stack([look_of(Image.open(io.BytesIO(jpeg_thumbnail(picture)))) for picture in pictures()])
    owners = np.concatenate([np.arange(len(files)), np.tile(np.arange(copied), len(COPIES))])
    rows, likeness = signatures(views, np.arange(len(owners))), Likeness.of(views, np.arange(len(files)))
    distances = squared_distances(rows, rows) / likeness.usual
    seen = np.stack([look_distances(look, looks) for look in looks])
    above = np.triu(np.ones_like(distances, dtype=bool), 1)
    same = owners[:, None] == owners
    figures = []
    for by_views, by_thumbnails in THRESHOLDS:
        near = (distances <= by_views) & (seen <= by_thumbnails)
        found = above & near
        own = {}
        for number, name in enumerate(COPIES):
            copies = len(files) + number * copied + np.arange(copied)
            own[name] = float(near[np.arange(copied), copies].mean())
        precision = float(same[found].mean()) if found.any() else 1.0
        least = {"views": _number(by_views), "thumbnails": _number(by_thumbnails)}
        figures.append({**least, "precision": precision, "recall": own})
    return {
        "model": model or "mobilenet_v2_imagenet",
        "photos": len(files),
        "copied": copied,
        "usual squared distance": likeness.usual,
        "limit in this gallery": likeness.limit / likeness.usual,
        "figures": figures,
    }


def _number(threshold: float) -> float | None:
    """Return a threshold as JSON can hold it."""
    return None if np.isinf(threshold) else threshold


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--model")
    parser.add_argument("--photos", type=int, default=1000)
    parser.add_argument("--copied", type=int, default=120)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    every = sorted((arguments.shared / "data" / "flickr8k-cn" / "images").glob("*.jpg"))
    files = every[:: max(1, len(every) // arguments.photos)][: arguments.photos]
    result = measure(files, min(arguments.copied, len(files)), arguments.shared, arguments.model)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    figures: list[dict] = result["figures"]  # type: ignore[assignment, type-arg]
    rows = [
        {name: "any" if each[name] is None else f"{each[name]:g}" for name in ("views", "thumbnails")}
        | {"precision": f"{each['precision']:.3f}"}
        | {name: f"{share:.3f}" for name, share in each["recall"].items()}
        for each in figures
    ]
    print(markdown_table(rows))


if __name__ == "__main__":
    main()
