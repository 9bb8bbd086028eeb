"""MSR-VTT-CN: MSR-VTT's videos with twenty English captions each, and Chinese ones.

MSR-VTT (Xu et al., CVPR 2016, microsoft.com/en-us/research/publication/msr-vtt-a-large-video-description-dataset-for-
bridging-video-and-language) is JSON: `videos` with `video_id` and `split`, `sentences` with `video_id`,
`sen_id` and `caption`. The Chinese captions come in text files of `video0#<tag>#<number> <text>` lines, as the
NRCCR release has them (github.com/LiJiaBei-7/nrccr): `zh` by people, and `enc2zh` translated from the English
caption of that number by the system that the file name says. An English caption's number is its index among the
video's captions in the order of `sen_id`.
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .files import (
    Collection,
    Rows,
    clean,
    find,
    make_row,
    published_layout,
    read_json,
    read_split_lists,
    require,
)
from .nrccr import read_target_captions
from .visuals import find_features, find_videos

PUBLISHED = "microsoft.com (MSR-VTT) and github.com/LiJiaBei-7/nrccr (the Chinese captions)"
SPLITS = {"train": "train", "validate": "validation", "test": "test"}


def msrvtt_cn_rows(root: str | Path, videos: str | Path | None = None, features: str | None = None) -> Collection:
    """Read MSR-VTT with Chinese captions, and its features or else its videos.

    Args:
        root: Folder with `*videodatainfo*.json` (one file or several) and `*.caption.txt`, themselves or one folder
            below. Lists of ids (`train_id.txt`, `val_id.txt`, `test_id.txt`) replace the published split.
        videos: Folder of the videos, named by `video_id`; by default anywhere in `root`. They are not looked for
            where there are features.
        features: Folder of a BigFile or of `.npy` files, one per video; by default any in `root`.

    Raises:
        FileNotFoundError: If files are missing.
        UserError: If a file is not in the published layout.
    """
    root = Path(root)
    pattern = "*videodatainfo*.json"
    info = sorted({*root.glob(pattern), *root.glob(f"*/{pattern}")})
    texts = sorted({*root.glob("*.caption.txt"), *root.glob("*/*.caption.txt")})
    require([*(info or [find(root, pattern)]), *(texts or [root / "*.caption.txt"])], "MSR-VTT-CN", PUBLISHED)
    notes: list[str] = []
    splits: dict[str, list[str]] = {split: [] for split in SPLITS.values()}
    sources: dict[str, dict[int, str]] = {}
    for path in info:
        _read(path, splits, sources)
    targets = read_target_captions(texts, notes)
    for split, names in read_split_lists(root, notes).items():
        splits[split] = [name for name in names if name in sources]
    ready = None if videos else find_features(root, features)
    paths = {} if ready is not None else find_videos(Path(videos) if videos else root)

    def rows(split: str) -> Iterator[dict[str, Any]]:
        return (_row(name, split) for name in splits[split])

    def _row(name: str, split: str) -> dict[str, Any]:
        kept = [target for target in targets.get(name, []) if split == "train" or target.origin == "human"]
        return make_row(name, sources[name], kept, video=paths.get(name))

    return Collection(Rows.of(rows, [split for split, names in splits.items() if names]), ready, notes)


def _read(path: Path, splits: dict[str, list[str]], sources: dict[str, dict[int, str]]) -> None:
    sentences: dict[str, list[tuple[int, str]]] = defaultdict(list)
    with published_layout(path):
        content = read_json(path)
        for sentence in content["sentences"]:
            sentences[sentence["video_id"]].append((sentence["sen_id"], sentence["caption"]))
        for video in content["videos"]:
            name = video["video_id"]
            if name not in sources:
                splits[SPLITS[video["split"]]].append(name)
                ordered = enumerate(sorted(sentences[name]))
                sources[name] = {number: clean(text) for number, (_, text) in ordered if text.strip()}
