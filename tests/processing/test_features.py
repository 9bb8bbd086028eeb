from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from datasets import Dataset as HubDataset
from safetensors.torch import load_file
from torch import Tensor

from processing.errors import UserError
from processing.features import FEATURES_FILE, FeatureFile, FeatureRows, copy_id, save_features, with_features
from processing.writing import part_path
from tests.tiny_data import dataset, row

LENGTHS = {"a": 3, "b": 1, "c": 4}


@pytest.fixture
def features() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(length, 5, generator=generator) for name, length in LENGTHS.items()}


@pytest.fixture
def file(tmp_path: Path, features: dict[str, Tensor]) -> FeatureFile:
    save_features(tmp_path / FEATURES_FILE, list(features), list(features.values()), tower="resnet")
    return FeatureFile(tmp_path)


def test_rows_of_different_lengths_come_back(file: FeatureFile, features: dict[str, Tensor]) -> None:
    assert file.width == 5
    for name in ("c", "a", "b"):
        assert torch.equal(file[name], features[name])


def test_it_says_what_made_it(file: FeatureFile) -> None:
    assert file.metadata["tower"] == "resnet"


def test_the_file_can_be_named_itself(file: FeatureFile, features: dict[str, Tensor]) -> None:
    assert torch.equal(FeatureFile(file.path)["a"], features["a"])


def test_half_precision_stays(tmp_path: Path) -> None:
    save_features(tmp_path / "half.safetensors", ["a"], [torch.ones(2, 3, dtype=torch.float16)])
    assert FeatureFile(tmp_path / "half.safetensors")["a"].dtype == torch.float16


def test_nothing_but_the_wanted_row_is_read(file: FeatureFile, features: dict[str, Tensor]) -> None:
    # The last row's bytes change behind the open file; a row read at once would not notice.
    content = bytearray(file.path.read_bytes())
    replaced = torch.zeros(4, 5)
    offset = content.index(features["c"].numpy().tobytes())
    with file.path.open("r+b") as stream:
        stream.seek(offset)
        stream.write(replaced.numpy().tobytes())
    assert torch.equal(file["c"], replaced)
    assert torch.equal(file["a"], features["a"])


def test_an_unknown_row_is_named(file: FeatureFile) -> None:
    assert "a" in file and "d" not in file
    with pytest.raises(ValueError, match=f"{FEATURES_FILE} has no features for row 'd'"):
        file["d"]


@pytest.mark.parametrize("name", ["", "absent.safetensors"])
def test_a_file_that_is_not_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError, match="does not exist; write visual features first"):
        FeatureFile(tmp_path / name)


def test_as_many_features_as_rows(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="1 features for 2 rows"):
        save_features(tmp_path / FEATURES_FILE, ["a", "b"], [torch.ones(1, 2)])
    assert not list(tmp_path.iterdir())


def test_writing_makes_the_folder_and_leaves_nothing_beside(tmp_path: Path) -> None:
    save_features(tmp_path / "new" / FEATURES_FILE, ["a"], [torch.ones(1, 2)])
    assert [path.name for path in (tmp_path / "new").iterdir()] == [FEATURES_FILE]


def test_statistics_are_of_the_given_rows_tokens(file: FeatureFile, features: dict[str, Tensor]) -> None:
    mean, deviation = file.statistics(["c", "a"])
    tokens = torch.cat([features["a"], features["c"]])
    torch.testing.assert_close(mean, tokens.mean(dim=0))
    torch.testing.assert_close(deviation, tokens.std(dim=0, unbiased=False))


def test_statistics_of_channels_that_hardly_vary(tmp_path: Path) -> None:
    constant = torch.full((100, 2), 1234.5)
    save_features(tmp_path / FEATURES_FILE, ["a"], [constant])
    mean, deviation = FeatureFile(tmp_path).statistics(["a"])
    assert mean.tolist() == [1234.5] * 2
    assert deviation.isfinite().all() and deviation.max() < 0.01


class TestFeatureRows:
    def test_features_stand_in_for_pictures(self, file: FeatureFile, features: dict[str, Tensor]) -> None:
        rows = FeatureRows(dataset([row(name) for name in "cab"]), file)
        assert len(rows) == 3
        for index, name in enumerate("cab"):
            item = rows[index]
            assert item["id"] == name and "image" not in item
            assert item["source_captions"] == row(name)["source_captions"]
            assert torch.equal(item["visual_features"], features[name])

    def test_a_row_without_features_is_named_when_it_is_used(self, file: FeatureFile) -> None:
        rows = FeatureRows(dataset([row("a"), row("other")]).remove_columns("image"), file)
        assert rows[0]["id"] == "a"
        with pytest.raises(ValueError, match="no features for row 'other'"):
            rows[1]


def test_features_are_written_as_they_come(tmp_path: Path) -> None:
    """An iterator over more than memory can hold: each row is in the file before the next one is asked for."""
    part = part_path(tmp_path / FEATURES_FILE)

    def rows() -> Iterator[Tensor]:
        for number in range(4):
            yield torch.full((1000, 64), float(number))
            assert part.stat().st_size > number * 1000 * 64 * 4

    save_features(tmp_path / FEATURES_FILE, list("abcd"), rows())
    assert torch.equal(FeatureFile(tmp_path)["c"], torch.full((1000, 64), 2.0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_the_file_is_a_safetensors_file(tmp_path: Path, dtype: torch.dtype) -> None:
    written = [torch.randn(3, 5).to(dtype), torch.randn(0, 5).to(dtype), torch.randn(2, 5).to(dtype)]
    save_features(tmp_path / FEATURES_FILE, list("abc"), iter(written))
    loaded = load_file(tmp_path / FEATURES_FILE)
    assert loaded["offsets"].tolist() == [0, 3, 3, 5]
    assert torch.equal(loaded["features"], torch.cat(written))


def test_features_of_different_widths_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unlike the first of the file"):
        save_features(tmp_path / FEATURES_FILE, ["a", "b"], [torch.ones(1, 2), torch.ones(1, 3)])
    assert not list(tmp_path.iterdir())


def test_training_draws_among_a_picture_and_its_copies(tmp_path: Path) -> None:
    ids = ["a", copy_id("a", 1), copy_id("a", 2), "b"]
    save_features(tmp_path / FEATURES_FILE, ids, [torch.full((1, 2), float(n)) for n in range(4)], copies="2")
    features = FeatureFile(tmp_path)
    rows = HubDataset.from_dict({"id": ["a", "b"]})
    torch.manual_seed(0)
    varied = with_features(rows, features, varied=True)
    drawn = [varied[0]["visual_features"][0, 0].item() for _ in range(60)]
    assert set(drawn) == {0.0, 1.0, 2.0}
    # A row that has no copies stays itself.
    assert {varied[1]["visual_features"][0, 0].item() for _ in range(20)} == {3.0}
    plain = with_features(rows, features)
    assert {plain[0]["visual_features"][0, 0].item() for _ in range(20)} == {0.0}


def test_of_several_towers_none_is_taken_by_chance(tmp_path: Path) -> None:
    for name in ("features-b", "features-a"):
        save_features(tmp_path / f"{name}.safetensors", ["x"], [torch.ones(1, 2)])
    with pytest.raises(UserError, match="several towers: features-a.safetensors, features-b.safetensors; name one"):
        FeatureFile(tmp_path)
    (tmp_path / "features-a.safetensors").unlink()
    assert FeatureFile(tmp_path).path.name == "features-b.safetensors"
    save_features(tmp_path / "features.safetensors", ["x"], [torch.ones(1, 2)])
    assert FeatureFile(tmp_path).path.name == "features.safetensors"
