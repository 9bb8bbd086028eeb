"""`leccr gallery sync` and `relocate` on the command line."""

from pathlib import Path

import pytest

from leccr.gallery import Gallery

from . import tiny_gallery


def test_the_command(own: Path) -> None:
    photos, gallery = own / "photos", own / "gallery"
    run = tiny_gallery.run
    built = Gallery.open(gallery).sources[1][1]
    result = run("gallery", "relocate", gallery, built, photos)
    assert result.exit_code == 0 and "12 files" in result.stdout
    (photos / "green1.png").rename(photos / "moved.png")
    (photos / "blue2.png").unlink()
    tiny_gallery.paint(photos / "raw" / "no.png", 7)
    tiny_gallery.paint(photos / "yes.png", 8)
    result = run("gallery", "sync", gallery, "--exclude", "raw/,*.tmp")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[:2] == [
        "1 added, 0 replaced, 1 moved, 1 removed, 10 unchanged.",
        "Left out 1 file by --exclude.",
    ]
    (photos / "yes.png").unlink()
    result = run("gallery", "sync", gallery, "--keep-missing")
    assert "1 missing file kept, and marked in answers." in result.stdout
    assert "yes.png (missing)" in run("search", gallery, "en red 1", "-k", "20", "--all").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("sync", "{gallery}", "--exclude", "!"), "The pattern '!' of --exclude is none"),
        (("sync", "{gallery}", "--exclude", "[z-a]"), "The pattern '[z-a]' of --exclude is none"),
        (("relocate", "{gallery}", "/nowhere", "{photos}"), "has no items in /nowhere"),
        (("relocate", "{gallery}", "/nowhere", "/no/folder"), "There is no folder /no/folder"),
    ],
)
def test_mistakes(built: Path, arguments: tuple[str, ...], said: str) -> None:
    filled = [part.format(gallery=built / "gallery", photos=built / "photos") for part in arguments]
    result = tiny_gallery.run("gallery", *filled)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr and result.stderr.count("\n") == 1
