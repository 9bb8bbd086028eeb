from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from processing import shots, video
from processing.errors import UserError
from processing.shots import find_cuts, find_shots
from processing.video import Span, open_frames
from tests.videos import colour_of, number_of, numbered, write_video

COLOURS = ("red", "blue", "green", "white", "black")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five scenes of five to nine seconds, ten frames a second."""
    scenes = [colour for number, colour in enumerate(COLOURS) for _ in range(50 + 10 * number)]
    return write_video(tmp_path_factory.mktemp("videos") / "film.mp4", scenes)


def lengths(found: list[Span]) -> list[float]:
    assert all(before.end == after.start for before, after in pairwise(found)), "there are no gaps"
    return [round(shot.end - shot.start, 1) for shot in found]


def test_cuts_are_found_where_the_scenes_change(film: Path) -> None:
    assert [round(cut, 2) for cut in find_cuts(film)] == [5, 11, 18, 26]
    assert lengths(find_shots(film)) == [5, 6, 7, 8, 9]


def test_a_grid_has_shots_of_one_length(film: Path) -> None:
    assert lengths(find_shots(film, "10")) == [10, 10, 10, 5]
    assert lengths(find_shots(film, "8")) == [8, 8, 8, 11], "the rest is less than half of one, and joins the last"
    assert lengths(find_shots(film, "300")) == [35]


def test_a_video_can_stay_whole(film: Path, tmp_path: Path) -> None:
    assert lengths(find_shots(film, "none")) == [35]
    short = write_video(tmp_path / "short.mp4", ["red"] * 90 + ["blue"] * 90)
    assert lengths(find_shots(short)) == [18]
    assert lengths(find_shots(short, "9")) == [9, 9], "where seconds are asked for, short ones are divided, too"


def test_a_video_without_cuts_is_divided_evenly(tmp_path: Path) -> None:
    path = write_video(tmp_path / "still.mp4", ["red"] * 40, [float(second) for second in range(40)])
    assert lengths(find_shots(path)) == pytest.approx([40 / 3] * 3, abs=0.1)


def test_flashes_make_no_shots(tmp_path: Path) -> None:
    scenes = ["red"] * 120 + ["white"] * 2 + ["red"] * 118
    found = find_shots(write_video(tmp_path / "flash.mp4", scenes))
    assert all(length >= shots.SHORTEST for length in lengths(found)) and len(found) <= 3


def test_motion_is_no_cut(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    noise = Image.fromarray(generator.integers(0, 255, (12, 40, 3), dtype=np.uint8)).resize((320, 96))
    moving = [noise.crop((2 * step, 0, 2 * step + 96, 96)) for step in range(100)]
    assert list(find_cuts(write_video(tmp_path / "pan.mp4", moving))) == []


@pytest.mark.parametrize("name", ["a.ts", "a.mkv", "a.avi", "a.webm"])
def test_the_clock_of_a_file_need_not_begin_at_zero(tmp_path: Path, name: str) -> None:
    codec = {"a.avi": "mpeg4", "a.webm": "libvpx"}.get(name, "libx264")
    times = [12.5 + place / 10 for place in range(240)] if name in ("a.ts", "a.mkv") else None
    path = write_video(tmp_path / name, ["red"] * 120 + ["blue"] * 120, times, codec=codec)
    first, second = find_shots(path)
    assert lengths([first, second]) == pytest.approx([12, 12], abs=0.2)
    assert {colour_of(frame) for frame in open_frames(path, 4, span=first)} == {"red"}
    assert {colour_of(frame) for frame in open_frames(path, 4, span=second)} == {"blue"}


def test_frames_of_a_span_are_from_its_middles(tmp_path: Path) -> None:
    path = write_video(tmp_path / "long.mp4", numbered(50), [float(second) for second in range(50)], key_frames=5)
    frames = open_frames(path, 4, span=Span(20, 40))
    assert [number_of(frame) for frame in frames] == [22, 27, 32, 37]


def test_a_span_is_reached_without_decoding_what_is_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "long.mp4", numbered(50) * 4, [float(second) for second in range(200)], key_frames=5)
    decoded = []
    check = video._check_size
    monkeypatch.setattr(video, "_check_size", lambda *arguments: (decoded.append(1), check(*arguments))[1])
    open_frames(path, 2, span=Span(180, 190))
    assert len(decoded) < 30


def test_a_video_of_pictures_of_changing_size(tmp_path: Path) -> None:
    for name, size in (("a.ts", 32), ("b.ts", 64)):
        pictures = [Image.new("RGB", (size, size), "red")] * 60 + [Image.new("RGB", (size, size), "blue")] * 60
        write_video(tmp_path / name, pictures)
    both = tmp_path / "both.mpg"
    both.write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    assert len(list(find_cuts(both))) >= 2


def test_however_long_a_video_claims_to_be_there_are_not_too_many_shots(
    film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shots, "MOST_SHOTS", 4)
    assert len(find_shots(film, "1")) == 4
    assert len(find_shots(film)) <= 2 * 4
    monkeypatch.setattr(shots, "video_span", lambda path: Span(0.0, 1e12))
    assert len(find_shots(film, "1")) == 4


@pytest.mark.parametrize("value", ["", "often", "0", "-1", "nan", "inf", "1e9", "0.5"])
def test_other_ways_are_refused(value: str) -> None:
    with pytest.raises(UserError, match="has to be auto, none, or a number of seconds"):
        shots.check_shots(value)


def test_a_video_without_times_is_one_sentence(tmp_path: Path) -> None:
    """A raw stream knows no times: its packets have neither."""
    path = write_video(tmp_path / "a.mp4")
    raw = tmp_path / "raw.h264"
    with av.open(str(path)) as container, raw.open("wb") as file:
        bits = av.BitStreamFilterContext("h264_mp4toannexb", container.streams.video[0])
        for packet in container.demux(video=0):
            for part in bits.filter(packet):
                file.write(bytes(part))
    named = raw.rename(tmp_path / "raw.mp4")
    with pytest.raises(UserError, match=r"raw.mp4 has no frames with a time; convert it to MP4 or remove it"):
        find_shots(named)
