"""Embed a folder of pictures with numpy, Pillow, tokenizers and onnxruntime: python views.py PICTURES VIEWS.npz.

VIEWS.npz gets the pictures' names (B,) and views (B, K, D), which search.py searches. Pictures may have descriptions in
a file descriptions.jsonl next to them, with lines such as {"id": "beach.jpg", "description": "Two dogs run."}.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image
from tokenizers import Tokenizer

try:
    # Next to this file once it is exported.
    from pictures_leccr import (  # type: ignore[import-not-found]
        image_suffixes,
        picture_formats,
        visible_picture,
    )
except ImportError:
    from processing.pictures_leccr import image_suffixes, picture_formats, visible_picture

BATCH = 32


def pixel_values(picture: Image.Image, settings: dict[str, Any]) -> np.ndarray:
    """Return a picture as image.onnx takes it, (3, H, W), by the settings in preprocessor_config.json."""
    picture = visible_picture(picture)
    if settings.get("do_resize"):
        size = settings["size"]
        if "shortest_edge" in size:
            scale = size["shortest_edge"] / min(picture.size)
            size = {"width": int(scale * picture.width), "height": int(scale * picture.height)}
        picture = picture.resize((size["width"], size["height"]), settings["resample"])
    if settings.get("do_center_crop"):
        width, height = settings["crop_size"]["width"], settings["crop_size"]["height"]
        left, top = (picture.width - width) // 2, (picture.height - height) // 2
        picture = picture.crop((left, top, left + width, top + height))
    pixels = np.asarray(picture, dtype=np.float32)
    if settings.get("do_rescale"):
        pixels = pixels * settings["rescale_factor"]
    if settings.get("do_normalize"):
        pixels = (pixels - np.array(settings["image_mean"])) / np.array(settings["image_std"])
    return pixels.transpose(2, 0, 1).astype(np.float32)


def main(exported: Path, pictures: Path, output: Path) -> None:
    """Embed all pictures of a folder, and write their names and views."""
    settings = json.loads((exported / "preprocessor_config.json").read_text(encoding="utf-8"))
    # Of models that read descriptions and queries differently, such as with another prefix.
    own = exported / "description_tokenizer.json"
    tokenizer = Tokenizer.from_file(str(own if own.exists() else exported / "tokenizer.json"))
    longest = json.loads((exported / "export.json").read_text())["description_max_length"]
    tokenizer.enable_truncation(longest)
    padding = tokenizer.padding or {}
    if padding.get("length"):
        tokenizer.enable_padding(**{**padding, "length": longest})
    image_tower = onnxruntime.InferenceSession(exported / "image.onnx")
    described = pictures / "descriptions.jsonl"
    lines = described.read_text(encoding="utf-8").splitlines() if described.exists() else []
    descriptions = {line["id"]: line["description"] for line in map(json.loads, filter(str.strip, lines))}
    names = sorted(path.name for path in pictures.iterdir() if path.suffix.lower() in image_suffixes())
    views = []
    for start in range(0, len(names), BATCH):
        batch = names[start : start + BATCH]
        pixels = [pixel_values(Image.open(pictures / name, formats=picture_formats()), settings) for name in batch]
        texts = [descriptions.get(name) or "" for name in batch]
        tokens = tokenizer.encode_batch([text or " " for text in texts])
        mask = np.array([encoding.attention_mask for encoding in tokens])
        # A mask of zeros is a picture without a description.
        mask[[not text.strip() for text in texts]] = 0
        inputs = {
            "pixel_values": np.stack(pixels),
            "description_input_ids": np.array([encoding.ids for encoding in tokens]),
            "description_attention_mask": mask,
        }
        taken = {value.name for value in image_tower.get_inputs()}
        views += image_tower.run(None, {name: value for name, value in inputs.items() if name in taken})
    np.savez(output, names=names, views=np.concatenate(views))
    print(f"The views of {len(names)} pictures are in {output}.")


if __name__ == "__main__":
    main(Path(__file__).parent, Path(sys.argv[1]), Path(sys.argv[2]))
