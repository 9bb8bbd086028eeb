import sys
from pathlib import Path

import pytest

from benchmarks import shots
from benchmarks.large_photos import make_photo


def test_known_cuts_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data" / "flickr8k-cn"
    (folder / "images").mkdir(parents=True)
    (folder / "flickr8kval.txt").write_text("0_a\n1_b\n2_c\n3_d\n", encoding="utf-8")
    for number, letter in enumerate("abc"):
        make_photo(number, (400, 300)).point(lambda value, shade=number: value // 4 + 80 * shade).save(
            folder / "images" / f"{number}_{letter}.jpg"
        )
    photos = shots.read_photos(tmp_path, 3)
    film = shots.make_film(tmp_path / "film.mp4", photos, 1.0, 0.0, seed=0)
    assert len(film.changes) == 2 and all(start == end for start, end in film.changes)
    monkeypatch.setattr(shots, "THRESHOLDS", (10,))
    found = shots.measure(film)
    assert found["thresholds"] == {"10": {"precision": 1.0, "recall": 1.0}} and found["time_over_decoding"] > 0
    monkeypatch.setattr(shots, "SPEEDS", {"calm": 0.5})
    arguments = ["shots", "--shared", str(tmp_path), "--count", "3", "--results", str(tmp_path / "shots.json")]
    monkeypatch.setattr(sys, "argv", arguments)
    shots.main()
    assert '"calm, fades"' in (tmp_path / "shots.json").read_text()


@pytest.mark.parametrize(("found", "right"), [([5.0], 1), ([5.3, 5.31], 0), ([5.05, 9.2, 9.4], 2), ([], 0)])
def test_a_change_counts_once(found: list[float], right: int) -> None:
    assert shots.count_right(found, [(5.0, 5.0), (9.0, 9.5)]) == right
