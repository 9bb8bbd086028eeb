"""Encodes with sentence-transformers as a stranger would: in a process in which our packages cannot be imported.

Called by `test_sentence_transformers.py` with names of repositories, each followed by a folder to read and write in.
"""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any


def load_neighbour(name: str) -> Any:
    """Import the module beside this one, which cannot be found by its name here."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def encode(repository: str, folder: Path, stranger: Any) -> None:
    """Load, encode the texts and pictures of the request, and leave embeddings and a report behind."""
    from PIL import Image
    from safetensors.torch import save_file
    from sentence_transformers import SentenceTransformer

    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    model = SentenceTransformer(repository, trust_remote_code=True, device="cpu")
    found = {"texts": model.encode(request["texts"], convert_to_tensor=True)}
    if request["pictures"]:
        pictures = [Image.open(folder / name) for name in request["pictures"]]
        found["images"] = model.encode(pictures, convert_to_tensor=True)
        found["similarity"] = model.similarity(found["texts"], found["images"])
    save_file({name: value.contiguous() for name, value in found.items()}, folder / "found.safetensors")
    report = {
        "module": type(model[0].model).__module__,
        "modalities": model.modalities,
        "imported": [name for name in sys.modules if name.partition(".")[0] in stranger.OURS],
        "refused": [name for name in stranger.OURS if stranger.refused(name)],
    }
    (folder / "report.json").write_text(json.dumps(report), encoding="utf-8")


if __name__ == "__main__":
    neighbour = load_neighbour("remote_code_child")
    sys.meta_path.insert(0, neighbour.Blocker())
    for name, folder in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        encode(name, Path(folder), neighbour)
