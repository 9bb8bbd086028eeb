"""When, where and with what pictures were taken: stored with them, filtered and sorted by, through every entrance."""

import json
import shutil
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as PillowImage

from leccr.errors import UserError
from leccr.gallery import Gallery
from leccr.gallery.store.catalogue import FILE
from leccr.models.encoder import Encoder
from tests.leccr.gallery.tiny_gallery import names_of, run

EXIF, GPS, ORIGINAL, ZONE = 0x8769, 0x8825, 0x9003, 0x9011
QUERY = "en red 1"


def taken(path: Path, date: str | None, zone: str | None = None, **others: Any) -> Path:
    """Write a picture with a date; `others` are a camera, a caption and a place."""
    exif = PillowImage.Exif()
    details = exif.get_ifd(EXIF)
    details |= {} if date is None else {ORIGINAL: date}
    details |= {} if zone is None else {ZONE: zone}
    exif.get_ifd(GPS).update(others.get("place", {}))
    exif[0x0110], exif[0x010E] = others.get("camera", ""), others.get("caption", "")
    path.parent.mkdir(parents=True, exist_ok=True)
    PillowImage.new("RGB", (16, 16), (len(path.name), 9 * len(path.parent.name), 3)).save(path, exif=exif)
    return path


@pytest.fixture(scope="module")
def dated(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `photos` and the `gallery` that `leccr index` makes of them."""
    folder = tmp_path_factory.mktemp("dated")
    photos, munich = folder / "photos", {1: "N", 2: (48.0, 8.0, 15.0), 3: "E", 4: (11.0, 34.0, 30.0)}
    taken(photos / "may.jpg", "2024:05:31 23:30:00", "-05:00", camera="NIKON D850")
    taken(photos / "june.jpg", "2024:06:01 00:15:00", "+02:00", place=munich, caption="Der Hund")
    taken(photos / "july.jpg", "2024:07:14 12:00:00")
    taken(photos / "old.jpg", "1999:12:31 23:59:59")
    taken(photos / "bad.jpg", "2024:13:45 99:99:99")
    taken(photos / "none.jpg", None)
    result = run("index", photos, "--model", model, "--out", folder / "gallery")
    assert result.exit_code == 0, result.output
    assert "The date or the place that is stored in 1 file cannot be read: bad.jpg." in result.stdout
    return folder


def found(folder: Path, where: str) -> set[str]:
    with Gallery.open(folder / "gallery") as gallery:
        return {Path(name).stem for name in names_of(gallery.search(QUERY, 10, where))}


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("taken>=2024-06", "june july"),
        ("taken>2024-05", "june july"),
        ("taken<=2024-06", "may june old"),
        ("taken<2024-06-01", "may old"),
        ("taken=2024", "may june july"),
        ("taken~2024-06", "june"),
        ("taken!=2024", "old bad none"),
        ("taken>=2024-06-01 and taken<=2024-06-30", "june"),
        ("taken<=2024-06-01T00:15", "may june old"),
        ("taken>2024-06-01T00:15:00", "july"),
        # In UTC the first one was taken six hours after the second.
        ("taken>=2024-06-01T00:00Z and taken<2024-07-01T00:00Z", "may"),
        ("taken>=2024-06-01T00:15+02:00 and taken<2024-07-01T00:00Z", "may june"),
        ("camera~nikon", "may"),
        ("caption~hund", "june"),
        ("latitude>48.1 and latitude<48.2 and longitude>=11", "june"),
        ("latitude<90", "june"),
    ],
)
def test_filters(dated: Path, where: str, expected: str) -> None:
    assert found(dated, where) == set(expected.split())


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("taken>=2024-13", "taken is a time such as 2024, 2024-06, 2024-06-01 or 2024-06-01T18:00, and not '2024-13'"),
        ("taken>=2023-02-29", "taken is a time such as"),
        ("taken>=0000", "taken is a time such as"),
        ("taken>=2024-06-01T00:00+99:00", "taken is a time such as"),
        ("taken>=summer", "taken is a time such as"),
        ("latitude>north", "latitude is a number of degrees, such as 48.137, and not 'north'"),
        ("latitude>nan", "latitude is a number of degrees, such as 48.137, and not 'nan'"),
        ("longitude<1_0", "longitude is a number of degrees"),
        ("latitude~4", "latitude cannot contain '4'"),
    ],
)
def test_filters_that_make_no_sense(dated: Path, where: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        found(dated, where)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_sorting_by_time(dated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    with Gallery.open(dated / "gallery") as gallery:
        best = gallery.search(QUERY, 10)
        by_time = gallery.search(QUERY, 10, sort="taken")
        assert [Path(result.id).stem for result in by_time[:4]] == ["old", "june", "may", "july"]
        assert [result.rank for result in by_time] == [1, 2, 3, 4, 5, 6]
        # The others keep their order.
        undated = [result.id for result in best if result.facts.taken is None]
        assert names_of(by_time[4:]) == undated
        newest = gallery.search(QUERY, 10, sort="-taken")
        assert [Path(result.id).stem for result in newest[:4]] == ["july", "may", "june", "old"]
        assert names_of(newest[4:]) == undated
        assert names_of(gallery.search(QUERY, 2, sort="taken")) != names_of(by_time[:2]), "only the best are sorted"
        changes = [result.time for result in gallery.search(QUERY, 10, sort="-time")]
        assert changes == sorted(changes, reverse=True)
        with pytest.raises(UserError, match="cannot be sorted by 'size'; use taken, -taken, time or -time"):
            gallery.search(QUERY, sort="size")


def test_the_command_line(dated: Path) -> None:
    result = run("search", dated / "gallery", QUERY, "--where", "taken>=2024-06", "--sort", "-taken", "--all")
    assert result.exit_code == 0, result.output
    header, *lines = result.stdout.splitlines()
    assert header.split()[:4] == ["rank", "score", "confidence", "taken"]
    assert [line.split()[3:6] for line in lines] == [
        ["2024-07-14", "12:00", "july.jpg"],
        ["2024-06-01", "00:15", "june.jpg"],
    ]
    result = run("search", dated / "gallery", QUERY, "--where", "path~june", "--json")
    [june] = json.loads(result.stdout)["results"]
    assert june["facts"] == {
        "taken": "2024-06-01T00:15:00+02:00",
        "latitude": 48.1375,
        "longitude": 11.575,
        "caption": "Der Hund",
    }
    assert run("search", dated / "gallery", QUERY, "--sort", "size").exit_code == 2


def test_the_prompt(dated: Path) -> None:
    lines = f":filter taken>=2024-06\n:sort taken\n{QUERY}\n:sort\n:filter\n:filter taken>=soon\n:sort by\n{QUERY}\n"
    result = run("search", dated / "gallery", "--all", input=lines)
    first, second = result.stdout.split(f"{QUERY}\n")[1:]
    assert [line.split()[5] for line in first.split("\n\n")[0].strip().splitlines()[1:]] == ["june.jpg", "july.jpg"]
    assert len(second.strip().splitlines()) == 7
    assert "taken is a time such as" in result.stderr and "cannot be sorted by 'by'" in result.stderr


def test_facts_follow_the_file(dated: Path, encoder: Encoder, tmp_path: Path) -> None:
    photos = tmp_path / "p"
    taken(photos / "a.jpg", "2024:06:01 10:00:00", camera="A")
    taken(photos / "b.jpg", "2024:06:02 10:00:00", camera="B")
    with Gallery.build(photos, encoder, tmp_path / "g") as gallery:
        taken(photos / "a.jpg", "2025:06:01 10:00:00")
        gallery.add(photos)
        dates = {result.id: (result.facts.taken, result.facts.camera) for result in gallery.search(QUERY)}
        assert dates == {"a.jpg": ("2025-06-01T10:00:00", None), "b.jpg": ("2024-06-02T10:00:00", "B")}
        gallery.remove(["b.jpg"])
        with gallery.catalogue.reading() as connection:
            assert connection.execute("SELECT count(*) FROM facts").fetchone() == (1,)
        gallery.convert(store="fp16")
        assert gallery.search(QUERY)[0].facts.taken == "2025-06-01T10:00:00"


@pytest.mark.parametrize("value", ["'x'", "char(27) || '[2J'", "'9999-99-99'", "''", "NULL", "'0001-01-01T00:00:00'"])
@pytest.mark.parametrize("zone", ["NULL", f"{2**62}", "-900"])
def test_facts_of_an_untrusted_gallery(dated: Path, value: str, zone: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(dated, tmp_path / "own"))
    with sqlite3.connect(folder / "gallery" / FILE) as connection:
        connection.execute(f"UPDATE facts SET taken = {value}, zone = {zone}, latitude = 1e999")
    with Gallery.open(folder / "gallery") as gallery:
        assert len(gallery.search(QUERY, sort="taken")) == 6
        gallery.search(QUERY, where="taken>=2024-01-01T00:00Z")
    result = run("search", folder / "gallery", QUERY)
    assert result.exit_code == 0 and "\x1b" not in result.output
