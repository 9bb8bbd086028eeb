from pathlib import Path

import numpy as np
import pytest

from processing.readers.visuals import BigFile, NpyFeatures, find_features, find_videos

from .layout import touch, write


def big_file(folder: Path, vectors: dict[str, list[float]], frames: str | None = None) -> Path:
    width = len(next(iter(vectors.values())))
    files = {
        "feature.bin": np.array(list(vectors.values()), dtype="<f4").tobytes(),
        "shape.txt": f"{len(vectors)} {width}\n",
        "id.txt": " ".join(vectors),
    }
    return write(folder, files if frames is None else {**files, "video2frames.txt": frames})


VECTORS = {"video1_0": [1.0, 2.0], "video1_1": [3.0, 4.0], "video0_0": [5.0, 6.0]}


def test_frames_of_a_video_in_their_order(tmp_path: Path) -> None:
    frames = "{'video1': ['video1_1', 'video1_0'], \"video0\": ['video0_0'],\r\n 'gone': ['gone_0']}"
    features = BigFile(big_file(tmp_path, VECTORS, frames))
    assert features["video1"].tolist() == [[3.0, 4.0], [1.0, 2.0]]
    assert features["video0"].tolist() == [[5.0, 6.0]]
    assert features["video0"].dtype == np.float32
    assert [name in features for name in ("video1", "video0", "gone", "other")] == [True, True, False, False]


def test_images_without_frames(tmp_path: Path) -> None:
    features = BigFile(big_file(tmp_path, VECTORS))
    assert features["video1_1"].tolist() == [[3.0, 4.0]]


def test_frames_that_only_a_whole_literal_explains(tmp_path: Path) -> None:
    features = BigFile(big_file(tmp_path, VECTORS, "{'video1': ('video1_0',), 'it\\'s': ['video0_0']}"))
    assert features["video1"].tolist() == [[1.0, 2.0]]
    assert features["it's"].tolist() == [[5.0, 6.0]]


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ("__import__('pathlib').Path('ran').touch() or {}", "it is not run as code"),
        ("{'a': [open('ran', 'w')]}", "it is not run as code"),
        ("{'a': ['b', 'c'", "it is not run as code"),
        ("['a', 'b']", "not a dictionary of lists"),
        ("{'a': 'b'}", "not a dictionary of lists"),
    ],
)
def test_frames_are_parsed_safely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frames: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        BigFile(big_file(tmp_path, VECTORS, frames))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("changed", [{"shape.txt": "3 3"}, {"id.txt": "a b"}, {"feature.bin": b"1234"}])
def test_parts_that_contradict_each_other(tmp_path: Path, changed: dict[str, str | bytes]) -> None:
    big_file(tmp_path, VECTORS)
    with pytest.raises(ValueError, match="contradicts itself"):
        BigFile(write(tmp_path, changed))


def test_missing_parts(tmp_path: Path) -> None:
    write(tmp_path, {"feature.bin": b"", "shape.txt": "x"})
    with pytest.raises(FileNotFoundError, match="id.txt"):
        BigFile(tmp_path)
    write(tmp_path, {"id.txt": ""})
    with pytest.raises(ValueError, match="shape.txt should hold two numbers"):
        BigFile(tmp_path)


def test_one_array_a_video(tmp_path: Path) -> None:
    arrays = {"a": np.ones((1, 4, 3)), "b": np.ones((2, 3), dtype=np.float16), "c": np.ones(3)}
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    features = find_features(tmp_path)
    assert isinstance(features, NpyFeatures)
    assert {name: features[name].shape for name in arrays} == {"a": (4, 3), "b": (2, 3), "c": (1, 3)}
    assert {features[name].dtype for name in arrays} == {np.dtype(np.float32)}


def test_arrays_that_are_none(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    np.save(tmp_path / "deep.npy", np.ones((2, 3, 4)))
    write(tmp_path, {"text.npy": "x"})
    features = NpyFeatures({path.stem: path for path in tmp_path.iterdir()})
    for name, message in (("objects", "not a NumPy array of numbers"), ("text", "not a NumPy"), ("deep", "has shape")):
        with pytest.raises(ValueError, match=f"{name}.npy .*{message}|{name}.npy is {message}"):
            features[name]


def test_which_features(tmp_path: Path) -> None:
    assert find_features(tmp_path) is None
    big_file(tmp_path / "FeatureData" / "i3d", VECTORS)
    assert isinstance(find_features(tmp_path), BigFile)
    big_file(tmp_path / "FeatureData" / "resnet", {"x": [1.0]})
    with pytest.raises(ValueError, match="several features: i3d, resnet. Choose one with --features"):
        find_features(tmp_path)
    chosen = find_features(tmp_path, "resnet")
    assert chosen is not None and "x" in chosen
    with pytest.raises(FileNotFoundError, match="no features 'clip'"):
        find_features(tmp_path, "clip")


def test_videos(tmp_path: Path) -> None:
    touch(tmp_path, ["a/x.mp4", "y.WEBM", "z.jpg"])
    assert find_videos(tmp_path) == {"x": tmp_path / "a" / "x.mp4", "y": tmp_path / "y.WEBM"}
