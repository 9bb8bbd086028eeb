from pathlib import Path

import pytest
from PIL import Image

from processing.suffixes import VIDEO_SUFFIXES, explain_left_out, is_image_name, is_video_name
from processing.video import open_frames
from tests.videos import colour_of, write_video

CODECS = {".webm": "libvpx", ".ogv": "libvpx", ".mpg": "mpeg1video", ".mpeg": "mpeg1video", ".vob": "mpeg2video"}
CODECS |= {".wmv": "wmv2", ".asf": "wmv2", ".flv": "flv", ".3gp": "mpeg4", ".3g2": "mpeg4", ".mjpg": "mjpeg"}


@pytest.mark.parametrize(
    "name", ["a.avif", "A.JFIF", "a.jp2", "a.Jpe", "a.tif", "b.qoi", "a.tga", "a.apng", "a.heic", "x/A.HEIF"]
)
def test_pictures(name: str) -> None:
    pytest.importorskip("pillow_heif")
    assert is_image_name(name) and is_image_name(Path(name)) and not is_video_name(name)


@pytest.mark.parametrize("name", ["a.MTS", "a.3gp", "a.mpg", "a.MPEG", "a.m2ts", "a.vob", "a.wmv", "a.ogv", "A.MOV"])
def test_videos(name: str) -> None:
    assert is_video_name(name) and not is_image_name(name)


@pytest.mark.parametrize(
    "name", ["a.txt", "a", ".jpg", "jpg", "a.eps", "a.ps", "a.pdf", "a.svg", "a.mp3", "a.jpg.zip", ""]
)
def test_neither(name: str) -> None:
    assert not is_video_name(name) and not is_image_name(name)


@pytest.mark.parametrize(
    "suffix",
    [".mp4", ".m4v", ".mov", ".3gp", ".3g2", ".mkv", ".avi", ".mpg", ".mpeg", ".vob", ".ts", ".mts", ".m2ts", ".wmv"]
    + [".asf", ".flv", ".ogv", ".webm", ".nut"],
)
def test_videos_of_an_accepted_ending_are_read(tmp_path: Path, suffix: str) -> None:
    assert suffix in VIDEO_SUFFIXES
    pictures = [Image.new("RGB", (176, 144), colour) for colour in ["red"] * 20 + ["blue"] * 20]
    times = [number / 25 for number in range(40)]
    path = write_video(tmp_path / f"a{suffix}", pictures, times, CODECS.get(suffix, "mpeg4"))
    assert [colour_of(frame) for frame in open_frames(path, 4)] == ["red", "red", "blue", "blue"]


def test_files_that_are_left_out_are_counted_by_ending() -> None:
    names = ["a.txt", "b.TXT", "notes", "raw.CR2", "a.svg", "x.heic", "y.HEIC", "captions.csv", "Thumbs.db", "n.\nx"]
    heic, pictures, others = explain_left_out(names)
    assert (
        heic.startswith("Left out 2 files by ending (2 .heic).")
        and "pip install" in heic
        and "hei" in heic.partition("pip install")[2]
    )
    assert pictures == (
        "Left out 2 files by ending (1 .cr2, 1 .svg) that Pillow here cannot open; convert them to JPEG or PNG."
    )
    assert explain_left_out(["a.svg", "b.txt"]) == [
        "Left out 1 file by ending (1 .svg) that Pillow here cannot open; convert it to JPEG or PNG.",
        "Left out 1 file by ending (1 .txt): neither a photo nor a video.",
    ]
    assert others == ("Left out 4 files by ending (1 without one, 1 .\\nx, 2 .txt): neither photos nor videos.")
    assert "\n" not in heic + pictures + others


def test_nothing_to_say() -> None:
    assert explain_left_out([]) == explain_left_out(["captions.csv", "metadata.jsonl", "descriptions.jsonl"]) == []
