"""VATEX: ten-second videos with ten English and ten Chinese captions each.

Published at eric-xw.github.io/vatex-website (Wang et al., "VATEX: A Large-Scale, High-Quality Multilingual Dataset for
Video-and-Language Research", ICCV 2019) as JSON lists of `{"videoID", "enCap", "chCap"}`. Of each ten captions the
first five were written independently; the last five Chinese ones translate the last five English ones in turn. The
public test file has English only, so the papers on cross-lingual retrieval cut their test set out of the validation
file by lists of ids: put these next to it as `val_id.txt` and `test_id.txt`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..schema import ORIGIN_HUMAN
from .files import (
    Collection,
    Rows,
    Target,
    clean,
    find,
    make_row,
    published_layout,
    read_json,
    read_split_lists,
    require,
)
from .visuals import find_features, find_videos

PUBLISHED = "eric-xw.github.io/vatex-website"
FILES = {
    "train": "vatex_training*.json",
    "validation": "vatex_validation*.json",
    "test": "vatex_public_test*.json",
}
INDEPENDENT = 5
CAPTIONS = 10


def vatex_rows(root: str | Path, videos: str | Path | None = None, features: str | None = None) -> Collection:
    """Read VATEX with its I3D features, or else its videos.

    Args:
        root: Folder with the JSON files, and lists of ids that choose other splits, themselves or one folder below.
        videos: Folder of the videos, named by `videoID`; by default anywhere in `root`. They are not looked for
            where there are features.
        features: Folder of `.npy` files, one per video, or of a BigFile; by default any in `root`.

    Raises:
        FileNotFoundError: If files are missing.
        UserError: If a file is not in the published layout.
    """
    root = Path(root)
    files = {split: find(root, pattern) for split, pattern in FILES.items()}
    require([files["train"], files["validation"]], "VATEX", PUBLISHED)
    notes: list[str] = []
    videos_by_split = {split: _read(path) for split, path in files.items() if path.exists()}
    captions = {name: texts for part in videos_by_split.values() for name, texts in part.items()}
    splits = {split: list(part) for split, part in videos_by_split.items()}
    lists = read_split_lists(root, notes)
    if lists:
        splits = {split: [name for name in names if name in captions] for split, names in {**splits, **lists}.items()}
    elif "test" in splits:
        notes.append("test has English captions only, since VATEX publishes no others for it.")
    ready = None if videos else find_features(root, features)
    paths = {} if ready is not None else find_videos(Path(videos) if videos else root)

    def rows(split: str) -> Iterator[dict[str, Any]]:
        return (make_row(name, *captions[name], video=paths.get(name)) for name in splits[split])

    return Collection(Rows.of(rows, splits), ready, notes)


def _read(path: Path) -> dict[str, tuple[dict[int, str], list[Target]]]:
    with published_layout(path):
        return {video["videoID"]: _captions(video["enCap"], video.get("chCap", [])) for video in read_json(path)}


def _captions(english: list[str], chinese: list[str]) -> tuple[dict[int, str], list[Target]]:
    parallel = len(english) == len(chinese) == CAPTIONS
    sources = {number: clean(text) for number, text in enumerate(english) if text.strip()}
    targets = [
        Target("zh", clean(text), number if parallel and number >= INDEPENDENT else None, ORIGIN_HUMAN)
        for number, text in enumerate(chinese)
        if text.strip()
    ]
    return sources, targets
