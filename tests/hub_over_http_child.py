"""Loads a model from a Hub as a stranger would: in a process of its own, in which our packages cannot be imported.

Called by `test_hub_over_http.py` with a folder to read from and write to, and models written as `name@revision`.
`HF_ENDPOINT` and `HF_HUB_OFFLINE` come from outside.
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


def main(folder: Path, *names: str) -> None:
    """Load each named model, embed, save, and leave reports behind."""
    stranger = load_neighbour("remote_code_child")
    sys.meta_path.insert(0, stranger.Blocker())

    import transformers
    from safetensors.torch import save_file
    from transformers import AutoModel, AutoProcessor

    reports = []
    for index, name in enumerate(names):
        repository, _, revision = name.partition("@")
        options = {"revision": revision, "trust_remote_code": True}
        processor = AutoProcessor.from_pretrained(repository, **options)
        model, loading = AutoModel.from_pretrained(repository, output_loading_info=True, **options)
        save_file(stranger.embed(model, processor, folder), folder / f"{index}.safetensors")
        model.save_pretrained(folder / f"saved-{index}")
        processor.save_pretrained(folder / f"saved-{index}")
        report = {
            "transformers": transformers.__version__,
            "classes": [type(model).__name__, type(processor).__name__],
            "modules": [type(model).__module__, type(processor).__module__],
            "loading": {problem: sorted(map(str, keys)) for problem, keys in loading.items() if keys},
            "imported": [module for module in sys.modules if module.partition(".")[0] in stranger.OURS],
        }
        reports.append(report)
    (folder / "reports.json").write_text(json.dumps(reports), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
