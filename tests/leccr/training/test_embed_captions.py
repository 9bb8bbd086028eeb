import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import leccr.training.embed_captions as embedding
from leccr.errors import UserError
from leccr.models.build import build_model, build_processor, training_texts
from leccr.models.model_encoder import ModelEncoder
from leccr.training.embed_captions import run_embedding
from leccr.training.train import save_retriever
from processing.caption_embeddings import EMBEDDINGS_FILE, CaptionEmbeddings, caption_texts
from processing.features import FeatureFile
from processing.storage import read_splits, write_rows
from tests.tiny_data import dataset, recipe, row

TRAIN = [row(name, captions=1 + index, image=None) for index, name in enumerate("abc")]
TEST = [TRAIN[1], row("d", captions=1, image=None), row("e", source_captions=[], target_captions=None, image=None)]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_rows(tmp_path / "data", "train", TRAIN)
    write_rows(tmp_path / "data", "test", TEST)
    return tmp_path / "data"


def teacher(folder: Path, seed: int = 0, **fields: Any) -> tuple[Any, Any]:
    torch.manual_seed(seed)
    tiny = recipe(**fields)
    processor = build_processor(tiny, training_texts(dataset([*TRAIN, *TEST])))
    model = build_model(tiny, processor).eval()
    save_retriever(folder, model, processor)
    return model, processor


@pytest.mark.parametrize("fields", [{"model": {}, "network": "cross-lingual"}, {}], ids=["teacher", "retriever"])
def test_every_caption_of_every_split_is_embedded(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any]
) -> None:
    monkeypatch.setattr(embedding, "ROWS_PER_CHUNK", 2)
    model, processor = teacher(tmp_path / "teacher", **fields)
    path = run_embedding(str(data), str(tmp_path / "teacher"), batch_size=4)
    assert path == data / EMBEDDINGS_FILE
    embeddings = CaptionEmbeddings(data)
    assert embeddings.teacher == str(tmp_path / "teacher")
    splits = read_splits(data)
    embeddings.check(splits["train"])
    for item in [*splits["train"], splits["test"][1]]:
        expected = ModelEncoder(model, processor).texts(caption_texts(item))
        embedded = torch.cat(list(embeddings.of(item).values()))
        assert embedded.dtype == torch.float16
        np.testing.assert_allclose(embedded.float(), expected, atol=1e-3, rtol=1e-3)
    # A row in two splits is in the file once, and one without captions is not.
    assert json.loads(FeatureFile(path).metadata["ids"]) == ["a", "b", "c", "d"]


def test_captions_embedded_again_replace_the_old(data: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        teacher(tmp_path / str(seed), seed, model={}, network="cross-lingual")
    embedded = []
    for seed in (0, 1):
        run_embedding(str(data), str(tmp_path / str(seed)))
        embedded.append(CaptionEmbeddings(data).of(TRAIN[0])["source_embeddings"])
    assert not torch.allclose(*embedded, atol=1e-2)
    # The remedy that a stale file's error names.
    write_rows(data, "train", [row("a", captions=2, image=None), *TRAIN[1:]])
    with pytest.raises(ValueError, match="captions of row 'a' have changed"):
        CaptionEmbeddings(data).check(read_splits(data)["train"])
    run_embedding(str(data), str(tmp_path / "0"))
    CaptionEmbeddings(data).check(read_splits(data)["train"])


def test_interrupting_leaves_what_was_there(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    teacher(tmp_path / "teacher", model={}, network="cross-lingual")
    run_embedding(str(data), str(tmp_path / "teacher"))
    before = (data / EMBEDDINGS_FILE).read_bytes()
    names = {path.name for path in data.iterdir()}

    def stop(*_: Any, **__: Any) -> np.ndarray:
        raise KeyboardInterrupt

    monkeypatch.setattr(ModelEncoder, "texts", stop)
    with pytest.raises(KeyboardInterrupt):
        run_embedding(str(data), str(tmp_path / "teacher"))
    assert (data / EMBEDDINGS_FILE).read_bytes() == before
    assert {path.name for path in data.iterdir()} == names


def test_two_rows_of_one_id(data: Path) -> None:
    write_rows(data, "test", [row("a", captions=3, image=None)])
    with pytest.raises(UserError, match="Two rows have the id 'a' and different captions"):
        run_embedding(str(data), "teacher")


def test_built_in_scenes_have_no_folder() -> None:
    with pytest.raises(UserError, match="leccr prepare scenes --out DATA"):
        run_embedding("scenes", "teacher")


def test_no_teacher_of_that_name(data: Path) -> None:
    with pytest.raises(UserError, match="There is no model .*absent"):
        run_embedding(str(data), "absent")
    assert not (data / EMBEDDINGS_FILE).exists()
