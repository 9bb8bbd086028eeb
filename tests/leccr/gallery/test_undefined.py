"""Undefined numbers (NaN) in a model's weights and in a gallery's views are told as what they are."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from leccr.errors import UserError
from leccr.gallery import Gallery
from leccr.gallery.store.vectors import views_path
from leccr.models.encoder import Encoder
from processing.storage import write_rows
from tests.leccr.gallery import tiny_gallery
from tests.leccr.gallery.tiny_gallery import paint, run, stored_views
from tests.tiny_data import dataset, row


@pytest.fixture(params=[float("nan"), float("inf")])
def diverged(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A checkpoint with one weight that is no number."""
    folder = tiny_gallery.save_model(tmp_path / "diverged")
    weights = load_file(folder / "model.safetensors")
    name = sorted(weights)[-1]
    weights[name].reshape(-1)[-1] = request.param
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


def test_a_model_whose_weights_are_no_numbers_is_refused(diverged: Path, own: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "data", "validation", [row("a")])
    for command in (
        ("index", own / "photos", "--model", diverged, "--out", tmp_path / "g"),
        ("evaluate", diverged, tmp_path / "data"),
        ("search", own / "gallery", "red", "--model", diverged),
    ):
        done = run(*command)
        assert done.exit_code == 2, done.output
        [line] = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
        assert f"The weights of {diverged} are infinite or undefined numbers (NaN), the first in " in line
    assert not (tmp_path / "g").exists()


def test_numbers_that_become_undefined_on_the_way_are_told() -> None:
    encoder = tiny_gallery.encoder()
    with torch.no_grad():
        encoder.model.text.head.output.weight.fill_(float("nan"))
    with pytest.raises(UserError, match="The model tiny returns infinite or undefined numbers"):
        encoder.texts(["en red 1"])
    encoder = tiny_gallery.encoder(num_slots=0, softened_weight=0.0)
    with torch.no_grad():
        next(encoder.model.image.parameters()).fill_(float("nan"))
    with pytest.raises(UserError, match="The model tiny returns infinite or undefined numbers"):
        encoder.row_views(dataset([row("a")]))


@pytest.fixture
def undefined(tmp_path: Path, encoder: Encoder) -> Gallery:
    """A gallery of three pictures; the views of two are NaN, and their checksums agree."""
    for number in range(3):
        paint(tmp_path / "p" / f"{number}.png", number)
    gallery = Gallery.build(tmp_path / "p", encoder, tmp_path / "g")
    views = np.array(stored_views(gallery))
    views[1:] = np.nan
    views_path(gallery.folder, gallery.state).write_bytes(views.tobytes())
    gallery = Gallery.open(gallery.folder, encoder)
    from leccr.gallery.store.storage import open_storage

    with gallery.catalogue.writing() as connection:
        checksums = open_storage(gallery.folder, gallery.state).checksums(gallery.state, [0, 1, 2])
        for position, checksum in enumerate(checksums):
            connection.execute("UPDATE items SET checksum = ? WHERE position = ?", (checksum, position))
    return gallery


@pytest.mark.parametrize("where", [None, "size>0"])
def test_views_that_are_no_numbers_are_no_answers(undefined: Gallery, where: str | None) -> None:
    results = undefined.search("en red 1", 3, where)
    assert [result.id for result in results] == ["0.png"]


def test_views_that_are_no_numbers_are_told_and_repaired(undefined: Gallery, tmp_path: Path, model: Path) -> None:
    done = run("search", undefined.folder, "en red 1", "--model", model)
    assert done.exit_code == 0, done.output
    assert (
        "2 of 3 items have views that are undefined numbers, and are never found; `leccr gallery check" in done.stderr
    )
    [problem] = undefined.check().problems
    assert problem.startswith(
        "The views of 2 items, such as 1.png, 2.png, are undefined numbers, so that no query finds"
    )
    assert undefined.check(repair=True).problems == []
    assert undefined.check().problems == []
    assert len(undefined.search("en red 1", 3)) == 3
