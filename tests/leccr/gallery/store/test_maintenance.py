from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leccr.errors import UserError
from leccr.gallery import Gallery
from leccr.models.encoder import Encoder
from tests.leccr.gallery.tiny_gallery import (
    QUERIES,
    contents,
    paint,
    stored_views,
)


@pytest.mark.parametrize("ann", ["hnsw", "ivfpq"])
def test_an_approximate_index_follows_the_gallery(gallery: Gallery, photos: Path, tmp_path: Path, ann: str) -> None:
    exact = gallery.search(QUERIES, 5)
    gallery.convert(ann=ann)
    assert gallery.search(QUERIES, 5) == exact, "it sees all of so few"
    gallery.add(paint(tmp_path / "new" / "p.png", 77))
    approximation = gallery.state.approximation
    assert approximation is not None and approximation.positions == 12
    gallery.remove(["holiday"])
    approximation = gallery.state.approximation
    assert approximation is not None and (approximation.kind, approximation.positions) == (ann, 9)
    assert len(gallery.search("en red 1", 20)) == 9
    assert gallery.convert(ann="none").approximation is None
    assert sorted(path.suffix for path in gallery.folder.iterdir()) == [".fp32", ".map", ".sqlite"]


@pytest.mark.parametrize(("dtype", "error"), [("fp16", 1e-3), ("int8", 2e-2)])
def test_smaller_formats_lose_little(gallery: Gallery, photos: Path, dtype: str, error: float) -> None:
    before = stored_views(gallery)
    state = gallery.convert(store=dtype)
    assert state.dtype == dtype
    np.testing.assert_allclose(stored_views(gallery), before, atol=error)
    assert gallery.convert(store=dtype) == state, "converting again changes nothing"
    assert gallery.check().problems == []
    gallery.remove(["green1.png"])
    assert gallery.add(photos).added == 1


def test_building_in_a_form_is_building_and_converting(
    gallery: Gallery, encoder: Encoder, photos: Path, tmp_path: Path
) -> None:
    gallery.convert(store="int8", ann="hnsw")
    Gallery.build(photos, encoder, tmp_path / "other", store="int8", ann="hnsw")
    assert contents(tmp_path / "other") == contents(gallery.folder)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"store": "int4"}, "--store is 'int4', but has to be one of fp32, fp16, int8"),
        ({"ann": "annoy"}, "--ann is 'annoy', but has to be one of hnsw, ivfpq, none"),
        ({"engine": "lucene"}, "--engine is 'lucene', but has to be one of faiss, milvus"),
        ({"engine": "milvus"}, "Say with --uri where the Milvus server is"),
        ({"uri": "http://localhost"}, "--uri is the address of a Milvus server; use it with --engine milvus"),
        ({"engine": "milvus", "uri": "a.db", "store": "int8"}, "Milvus stores fp32 views only; leave --store out"),
    ],
)
def test_unknown_forms_are_one_line(
    gallery: Gallery, encoder: Encoder, photos: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        gallery.convert(**options)
    with pytest.raises(UserError, match=message):
        Gallery.build(photos, encoder, tmp_path / "other", **options)
    assert not (tmp_path / "other").exists()
