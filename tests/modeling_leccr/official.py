"""The authors' model in a folder of reference material, converted."""

import json
from pathlib import Path

from transformers import BertConfig

from leccr.models.convert_official import official_model as convert_model
from leccr.models.convert_official import read_official
from modeling_leccr import LeccrModel


def official_model(folder: Path) -> LeccrModel:
    """Return a model in eval mode with the weights of the authors' checkpoint in `folder`."""
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    return convert_model(read_official(folder / "checkpoint_best.pth"), BertConfig(**meta["text_config"]))
