"""What the processes of `tests.crashes` have imported and done before they are forked."""

import tempfile
from pathlib import Path

import torch

# A fork has only one of its parent's threads, so none may be started here.
torch.set_num_threads(1)

from tqdm import tqdm  # noqa: E402

from tests.leccr.gallery import actions, films, tiny_gallery  # noqa: E402

# A fork would make a lock of its own and, when it is stopped, leave it behind.
tqdm.get_lock()
with tempfile.TemporaryDirectory() as folder:
    actions.index(tiny_gallery.photos(Path(folder) / "photos", 2), Path(folder) / "gallery", store="int8", ann="hnsw")
    actions.model().texts(["en red 1"])
    films.model().texts(["en red 1"])

import sacrebleu  # noqa: E402, F401
import transformers.models.llava.modeling_llava  # noqa: E402
import transformers.models.m2m_100.modeling_m2m_100  # noqa: E402, F401

import leccr.data.describe  # noqa: E402
import leccr.data.translate  # noqa: E402, F401
