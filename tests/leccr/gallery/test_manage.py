import shutil
from pathlib import Path

from leccr.gallery import Gallery
from leccr.gallery.manage import MOST_BROKEN_SHOWN
from leccr.gallery.store.catalogue import read_state, write_state
from tests.leccr.gallery.tiny_gallery import paint, run


def test_info(built: Path, model: Path) -> None:
    words = run("gallery", "info", built / "gallery").stdout
    for part in (
        "items    12",
        "2 of 8 numbers per item, fp32",
        str(model),
        "faiss",
        "exact",
        str(built / "photos"),
    ):
        assert part in words


def test_add_remove_check_and_convert(own: Path, tmp_path: Path) -> None:
    gallery = own / "gallery"
    new = paint(tmp_path / "new.png", 60)
    result = run("gallery", "add", gallery, new)
    assert (result.exit_code, result.stdout) == (
        0,
        f"1 added, 0 replaced, 0 unchanged.\nThe gallery {gallery} has 13 items.\n",
    )
    result = run("gallery", "remove", gallery, "new.png", "--filter", "path~holiday")
    assert result.stdout.startswith("5 removed; ")
    result = run("gallery", "check", gallery)
    assert (result.exit_code, result.stdout) == (0, "8 items checked, 0 problems left.\n")
    result = run("gallery", "convert", gallery, "--store", "int8", "--ann", "hnsw")
    assert "int8" in result.stdout
    assert "hnsw, which finds 100.0 % of the exact ten best (measured with 16 views of this gallery)" in result.stdout
    exact = run("search", gallery, "de red 1", "--exact")
    assert exact.stdout == run("search", gallery, "de red 1").stdout


def test_check_says_what_is_wrong_and_exits_with_1(own: Path) -> None:
    (own / "gallery" / "views-1.fp32").write_bytes(b"")
    (own / "gallery" / "views-7.fp32").write_bytes(b"")
    result = run("gallery", "check", own / "gallery")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "Removed views-7.fp32, left over from an earlier state.",
        "Problem: The views of 12 items are damaged; `--repair` repairs this.",
        "12 items checked, 1 problem left.",
    ]
    # The photos are where the gallery says, and not next to this copy.
    result = run("gallery", "check", own / "gallery", "--repair")
    assert (result.exit_code, result.stdout.splitlines()) == (
        0,
        ["Repaired: The views of 12 items are damaged.", "12 items checked, 0 problems left."],
    )
    assert run("search", own / "gallery", "de red 1").exit_code == 0


def test_a_command_that_was_stopped_is_mentioned(own: Path) -> None:
    with Gallery.open(own / "gallery") as gallery, gallery.catalogue.writing() as connection:
        import dataclasses

        write_state(connection, dataclasses.replace(read_state(connection, "g"), unfinished="/photos"))
    note = "Indexing /photos was not finished"
    assert note in run("search", own / "gallery", "de red 1").stderr
    assert note in run("gallery", "info", own / "gallery").stdout


def test_broken_files_are_listed_at_the_end(built: Path, model: Path, tmp_path: Path) -> None:
    own = shutil.copytree(built / "photos", tmp_path / "photos")
    for index in range(MOST_BROKEN_SHOWN + 5):
        (own / f"{index}.jpg").write_text("text")
    result = run("index", own, "--model", model, "--out", tmp_path / "g")
    assert result.exit_code == 0, result.output
    assert f"{MOST_BROKEN_SHOWN + 5} left out:\n  0.jpg cannot be decoded" in result.stdout
    assert "  ... and 5 more\n" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("The gallery")
