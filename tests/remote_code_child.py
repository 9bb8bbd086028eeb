"""Loads a checkpoint as a stranger would: in a process of its own, in which none of our packages can be imported.

Called by `test_hub_round_trip.py` with names of repositories, each followed by a folder to read from and write to.
"""

import importlib
import importlib.abc
import json
import sys
from pathlib import Path
from typing import Any

OURS = ("hub_card", "leccr", "modeling_leccr", "processing")


class Blocker(importlib.abc.MetaPathFinder):
    """Refuses our packages by their top-level names; `transformers_modules.*` passes."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        if fullname.partition(".")[0] in OURS:
            raise ImportError(f"{fullname} must not be needed here")


if __name__ == "__main__":
    sys.meta_path.insert(0, Blocker())

import torch  # noqa: E402
import transformers  # noqa: E402
from PIL import Image  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from transformers import AutoConfig, AutoModel, AutoProcessor  # noqa: E402


def load(name: str) -> tuple[Any, Any, dict[str, Any]]:
    """Load everything by the Auto classes and say what came."""
    config = AutoConfig.from_pretrained(name, trust_remote_code=True)
    processor = AutoProcessor.from_pretrained(name, trust_remote_code=True)
    model, loading = AutoModel.from_pretrained(name, trust_remote_code=True, output_loading_info=True)
    classes = {kind: type(thing) for kind, thing in (("config", config), ("processor", processor), ("model", model))}
    report = {
        "classes": {kind: found.__name__ for kind, found in classes.items()},
        "modules": [found.__module__ for found in classes.values()],
        "loading": {problem: sorted(map(str, keys)) for problem, keys in loading.items()},
    }
    return model, processor, report


@torch.no_grad()
def embed(model: Any, processor: Any, folder: Path) -> dict[str, torch.Tensor]:
    """Process and embed the texts in the folder, and the pictures where the model takes them."""
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    pictures = [Image.open(folder / name) for name in request["pictures"]]
    texts = processor(text=request["texts"])
    if not hasattr(model, "get_image_features"):
        pairs = {f"{side}_{name}": value for side in ("source", "target") for name, value in texts.items()}
        return {"texts": model.get_text_features(**texts), "loss": model(**pairs).loss}
    images = processor(images=pictures, descriptions=request["descriptions"])
    return {
        "pixel_values": images["pixel_values"],
        "texts": model.get_text_features(**texts),
        "images": model.get_image_features(**images),
        "views": model.get_image_views(**images),
        "images_alone": model.get_image_features(images["pixel_values"]),
        "short_ids": processor(text=request["texts"], max_length=6)["input_ids"],
        "pixels_not_rescaled": processor(images=pictures, images_kwargs={"do_rescale": False})["pixel_values"],
        "scores": model(**processor(text=request["texts"], images=pictures, padding=True)).logits_per_text,
    }


def refused(name: str) -> bool:
    """Whether a package cannot be imported."""
    try:
        importlib.import_module(name)
    except ImportError:
        return True
    return False


def main(repository: str, folder: Path) -> None:
    """Load from the Hub's cache, save, load again, and leave embeddings and a report behind."""
    model, processor, report = load(repository)
    save_file(embed(model, processor, folder), folder / "first.safetensors")
    model.save_pretrained(folder / "saved")
    processor.save_pretrained(folder / "saved")
    model, processor, second_report = load(str(folder / "saved"))
    save_file(embed(model, processor, folder), folder / "second.safetensors")
    reports = {
        "first": report,
        "second": second_report,
        "transformers": transformers.__version__,
        "imported": [name for name in sys.modules if name.partition(".")[0] in OURS],
        "refused": [name for name in OURS if refused(name)],
    }
    (folder / "report.json").write_text(json.dumps(reports), encoding="utf-8")


if __name__ == "__main__":
    for name, folder in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        main(name, Path(folder))
