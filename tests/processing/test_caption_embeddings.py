from pathlib import Path
from typing import Any

import pytest
import torch

from processing.caption_embeddings import (
    EMBED_COMMAND,
    EMBEDDINGS_FILE,
    CaptionEmbeddings,
    caption_texts,
    fingerprint,
    save_caption_embeddings,
    with_caption_embeddings,
)
from processing.features import FeatureFile, save_features, with_features
from tests.tiny_data import dataset, row, target

ROWS = [row("a", captions=1), row("b", captions=2), row("c", ["de"], captions=3)]
VECTORS = [torch.randn(3, 4).half(), torch.randn(6, 4).half(), torch.randn(6, 4).half()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_caption_embeddings(tmp_path / EMBEDDINGS_FILE, ROWS, iter(VECTORS), teacher="some/teacher")
    return tmp_path


def test_each_caption_has_its_embedding(folder: Path) -> None:
    embeddings = CaptionEmbeddings(folder)
    assert embeddings.teacher == "some/teacher"
    embeddings.check(dataset(ROWS))
    for item, vectors in zip(ROWS, VECTORS):
        found = embeddings.of(item)
        sources = len(item["source_captions"])
        assert torch.equal(found["source_embeddings"], vectors[:sources])
        assert torch.equal(found["target_embeddings"], vectors[sources:])
    assert torch.equal(CaptionEmbeddings(folder / EMBEDDINGS_FILE).of(ROWS[0])["source_embeddings"], VECTORS[0][:1])


def test_the_texts_are_sources_then_targets() -> None:
    assert caption_texts(row("a", ["de"], captions=2)) == ["en a 0", "en a 1", "de a 0", "de a 1"]
    assert caption_texts(row("a", captions=1, target_captions=None)) == ["en a 0"]


OTHER_TEXT = row("b", captions=2)["target_captions"][:3] + [target("zh", "anders", 1)]


@pytest.mark.parametrize(
    "fields",
    [
        {"source_captions": ["en b 0", "en b 2"]},
        {"source_captions": ["en b 1", "en b 0"]},
        {"target_captions": OTHER_TEXT},
        {"target_captions": row("b", captions=2)["target_captions"][:3]},
        {"target_captions": row("b", captions=2)["target_captions"][::-1]},
        {"target_captions": None},
    ],
)
def test_changed_captions_are_an_error_that_names_row_file_and_command(folder: Path, fields: dict[str, Any]) -> None:
    embeddings, changed = CaptionEmbeddings(folder), row("b", captions=2, **fields)
    message = f"captions of row 'b' have changed since .*{EMBEDDINGS_FILE} was made; make it again: {EMBED_COMMAND}"
    with pytest.raises(ValueError, match=message):
        embeddings.of(changed)
    with pytest.raises(ValueError, match=message):
        embeddings.check(dataset([ROWS[0], changed]))


def test_what_is_no_text_may_change(folder: Path) -> None:
    weighted = [{**caption, "weight": 0.5, "source_number": None} for caption in ROWS[0]["target_captions"]]
    CaptionEmbeddings(folder).check(dataset([row("a", captions=1, target_captions=weighted, description="other")]))


def test_an_unknown_row_is_named(folder: Path) -> None:
    with pytest.raises(ValueError, match=f"{EMBEDDINGS_FILE} has no embeddings for row 'd'; make them again"):
        CaptionEmbeddings(folder).check(dataset([*ROWS, row("d")]))


def test_a_row_without_source_captions_is_named(folder: Path) -> None:
    with pytest.raises(ValueError, match="Row 'a' has no source caption; training needs at least one"):
        CaptionEmbeddings(folder).check(dataset([row("a", source_captions=[])]))


def test_files_that_are_not_there_or_hold_something_else(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f"{EMBEDDINGS_FILE} does not exist; make it with: {EMBED_COMMAND}"):
        CaptionEmbeddings(tmp_path)
    save_features(tmp_path / "features.safetensors", ["a"], [torch.ones(1, 2)])
    with pytest.raises(ValueError, match="features.safetensors holds no embeddings of captions"):
        CaptionEmbeddings(tmp_path / "features.safetensors")


def test_fingerprints_tell_captions_apart() -> None:
    assert fingerprint(row("a")) == fingerprint(row("a", description=None))
    # The border between two captions, or between sources and targets, counts.
    prints = [
        fingerprint({"source_captions": sources, "target_captions": [{"text": text} for text in targets]})
        for sources, targets in ((["a b"], []), (["a", "b"], []), (["a"], ["b"]), ([], ["a", "b"]))
    ]
    assert len(set(prints)) == 4


class TestJoining:
    def test_rows_get_two_columns(self, folder: Path) -> None:
        rows = with_caption_embeddings(dataset(ROWS), CaptionEmbeddings(folder))
        assert len(rows) == 3
        assert rows[2]["id"] == "c" and rows[2]["image"] is not None
        assert torch.equal(rows[2]["target_embeddings"], VECTORS[2][3:])

    def test_beside_features_that_stand_in_for_pictures(self, folder: Path) -> None:
        save_features(folder / "features.safetensors", list("abc"), [torch.ones(1, 2)] * 3)
        joined = with_caption_embeddings(with_features(dataset(ROWS), FeatureFile(folder)), CaptionEmbeddings(folder))
        item = joined[1]
        assert "image" not in item and item["visual_features"].tolist() == [[1, 1]]
        assert torch.equal(item["source_embeddings"], VECTORS[1][:2])

    def test_without_embeddings_rows_stay_as_they_are(self) -> None:
        rows = dataset(ROWS)
        assert with_caption_embeddings(rows, None) is rows
