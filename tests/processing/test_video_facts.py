from pathlib import Path

import pytest

from processing.facts import Facts
from processing.video_facts import facts_of_tags, read_video_facts


def test_what_a_phone_writes() -> None:
    tags = {
        "creation_time": "2024-06-01T16:30:05.000000Z",
        "com.apple.quicktime.creationdate": "2024-06-01T18:30:05+0200",
        "com.apple.quicktime.location.ISO6709": "+48.1375-011.5750+500.000/",
        "com.apple.quicktime.make": "Apple",
        "com.apple.quicktime.model": "iPhone 15",
        "title": "Snow",
    }
    assert facts_of_tags(tags) == Facts(
        "2024-06-01T18:30:05", 120, "Apple iPhone 15", 48.1375, -11.575, "Snow", None, None
    )


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"creation_time": "2024-06-01T16:30:05.000000Z"}, Facts("2024-06-01T16:30:05", 0)),
        ({"creation_time": "soon"}, Facts(unreadable=True)),
        ({"creation_time": "  ", "location": "here"}, Facts()),
    ],
)
def test_what_others_write(tags: dict[str, str], expected: Facts) -> None:
    assert facts_of_tags(tags) == expected


def test_a_video_that_cannot_be_opened_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    assert read_video_facts(tmp_path / "broken.mp4") == read_video_facts(tmp_path / "none.mp4") == Facts()


def test_tags_of_a_file(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "v.mp4"), "w") as container:
        container.metadata.update(creation_time="2024-06-01T16:30:05Z", title="Schnee")
        stream = container.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 16
        for _ in range(2):
            container.mux(stream.encode(av.VideoFrame(16, 16, "yuv420p")))
        container.mux(stream.encode())
    found = read_video_facts(tmp_path / "v.mp4")
    assert (found.taken, found.zone, found.title) == ("2024-06-01T16:30:05", 0, "Schnee")
