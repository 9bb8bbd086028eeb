import sys
from pathlib import Path

import pytest

from processing.readers.metadata import Metadata

from .layout import write


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_lines_of_a_file_are_found_again(tmp_path: Path, end: str, mark: str) -> None:
    lines = ["file_name, caption", "b.jpg,größer", "", 'a.jpg,"one, 1"', "b.jpg,更多", "c.jpg"]
    write(tmp_path, {"metadata.csv": mark + end.join(lines)})
    metadata = Metadata(tmp_path / "metadata.csv")
    assert {file: metadata[file] for file in metadata} == {
        "b.jpg": [{"file_name": "b.jpg", "caption": "größer"}, {"file_name": "b.jpg", "caption": "更多"}],
        "a.jpg": [{"file_name": "a.jpg", "caption": "one, 1"}],
        "c.jpg": [{"file_name": "c.jpg"}],
    }
    assert "a.jpg" in metadata and "d.jpg" not in metadata


def test_json_lines(tmp_path: Path) -> None:
    write(
        tmp_path, {"x.jsonl": '\ufeff{"image": "sub//a.jpg", "n": 1}\r\n\r\n{"video": "b.mp4"}\n{"image": "sub/a.jpg"}'}
    )
    metadata = Metadata(tmp_path / "x.jsonl")
    assert list(metadata) == ["sub/a.jpg", "b.mp4"]
    assert metadata["sub/a.jpg"] == [{"image": "sub//a.jpg", "n": 1}, {"image": "sub/a.jpg"}]


def test_captions_stay_on_disk(tmp_path: Path) -> None:
    text = "x" * 10_000
    write(
        tmp_path, {"metadata.csv": "file_name,caption\n" + "".join(f"{number}.jpg,{text}\n" for number in range(100))}
    )
    metadata = Metadata(tmp_path / "metadata.csv")
    held = sum(sys.getsizeof(offsets) for offsets in metadata._offsets.values())
    assert held < 100 * 200
    assert metadata["99.jpg"] == [{"file_name": "99.jpg", "caption": text}]


def test_an_empty_file_names_nothing(tmp_path: Path) -> None:
    assert list(Metadata(write(tmp_path, {"metadata.csv": ""}) / "metadata.csv")) == []
