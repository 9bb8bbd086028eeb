import io
from pathlib import Path
from typing import Any

import pytest
from PIL import ExifTags
from PIL import Image as PillowImage
from space_facts import file_facts, year_taken

Base, IFD = ExifTags.Base, ExifTags.IFD


def photo(date: Any = "2024:06:01 12:30:00", **more: Any) -> bytes:
    """Return a photo on its side with EXIF data."""
    exif = PillowImage.Exif()
    exif[Base.Make], exif[Base.Model], exif[Base.Orientation] = "Kodak", "Kodak Brownie\n2", 6
    exif.get_ifd(IFD.Exif).update(
        {
            Base.DateTimeOriginal: date,
            Base.OffsetTimeOriginal: more.get("zone", "+02:00"),
            Base.ExposureTime: more.get("exposure", 0.005),
            Base.FNumber: 2.8,
            Base.ISOSpeedRatings: 100,
        }
    )
    exif.get_ifd(IFD.GPSInfo).update({1: "S", 2: (33.0, 30.0, 0.0), 3: "E", 4: more.get("east", (18.0, 15.0, 36.0))})
    stream = io.BytesIO()
    PillowImage.new("RGB", (40, 20)).save(stream, "JPEG", exif=exif)
    return stream.getvalue()


def test_a_photo_says_when_where_and_how_it_was_taken(tmp_path: Path) -> None:
    content = photo()
    (tmp_path / "a.jpg").write_bytes(content)
    facts = dict(file_facts(tmp_path / "a.jpg"))
    assert facts == dict(file_facts(content))
    assert facts.pop("File").endswith(" KB")
    assert facts == {
        "Taken": "2024-06-01 12:30 UTC+02:00",
        "Camera": "Kodak Brownie 2",
        "Exposure": "1/200 s, f/2.8, ISO 100",
        "Place": "-33.50000, 18.26000",
        "Size": "20 × 40 pixels",
    }
    assert year_taken(content) == 2024


@pytest.mark.parametrize("date", ["2024:13:45 99:99:99", "0000:00:00 00:00:00", "1024:01:01 00:00:00", "٢٠٢٤", ""])
def test_a_date_that_cannot_be_is_left_out(date: str) -> None:
    assert "Taken" not in dict(file_facts(photo(date))) and year_taken(photo(date)) is None


def test_damaged_fields_are_left_out() -> None:
    facts = dict(file_facts(photo(zone="<b>", exposure=0.0, east=(999.0, 0.0, 0.0))))
    assert facts["Taken"] == "2024-06-01 12:30" and facts["Exposure"] == "f/2.8, ISO 100" and "Place" not in facts


@pytest.mark.parametrize("content", [b"", b"no picture", photo()[:60]])
def test_what_is_no_picture_has_only_a_size(content: bytes) -> None:
    assert [name for name, _ in file_facts(content)] == ["File"]
    assert year_taken(content) is None


def test_a_file_that_is_gone_says_nothing(tmp_path: Path) -> None:
    assert file_facts(tmp_path / "gone.jpg") == [] and year_taken(tmp_path / "gone.jpg") is None
