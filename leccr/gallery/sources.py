"""Where items come from: a folder of photos and videos, single files, a prepared data set, or one from the Hub."""

import stat
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from processing.descriptions import read_descriptions
from processing.folders import walk_files
from processing.names import stored_name, stored_path
from processing.suffixes import EXAMPLES, explain_left_out

from ..errors import UserError, no_source
from .candidates import Candidate, Source, kind_of
from .ignored import IGNORE_FILE, Ignored
from .store.catalogue import DATA, FOLDER, HUB, IMAGE, VIDEO


def open_source(
    name: str,
    split: str | None = None,
    roots: Sequence[str] = (),
    frames: bool = False,
    ignored: Ignored | None = None,
) -> Source:
    """Open a folder, a file, a prepared data set or a data set from the Hub.

    Args:
        name: Path or Hub name.
        split: Split of a data set; None means all.
        roots: Folders that the gallery already knows; files in one of them belong to it.
        frames: Whether animations, in files, are videos.
        ignored: What is left out of a folder; by default only hidden files and folders of the system.

    Raises:
        UserError: If nothing has this name, or there is nothing to index in it.
    """
    path = Path(name)
    if path.exists():
        if not path.is_dir():
            return files_source([path], roots, frames=frames)
        return data_source(path, split) if _has_shards(path) else folder_source(path, roots, frames, ignored)
    # Imports huggingface_hub, which files do not need.
    from hub_card.names import is_repository

    if is_repository(name):
        return hub_source(name, split)
    raise no_source(name)


def _has_shards(folder: Path) -> bool:
    tables = list(folder.glob("*.parquet"))
    if not tables:
        return False
    # Imports datasets, which a folder of photos does not need.
    from processing.storage import SHARD_NAME

    return any(SHARD_NAME.fullmatch(table.name) for table in tables)


def folder_source(
    folder: Path, roots: Sequence[str] = (), frames: bool = False, ignored: Ignored | None = None
) -> Source:
    """Return all photos and videos below a folder, in the order of their paths.

    Raises:
        UserError: If there are none, or the folder is left out of the one that it is in.
    """
    root = folder.resolve()
    ignored = ignored or Ignored(root, {})
    if ignored.leaves_out(root, True):
        raise UserError(
            f"{folder} is left out of {ignored.root} ({ignored.leaves_out(root, True)}); take it back with a pattern "
            f"such as `!{root.name}/` in {ignored.root / IGNORE_FILE}."
        )
    source = walk_folder(root, roots, frames, ignored)
    if source.count or len(source.left_out) > len(source.unreadable):
        return source
    if source.left_out:
        name, reason = source.left_out[0]
        raise UserError(f"{folder} has no photos or videos that can be read: {name}: {reason}.")
    raise UserError(" ".join([f"{folder} has no photos or videos, such as {EXAMPLES}.", *source.remarks]))


def walk_folder(root: Path, roots: Sequence[str], frames: bool, ignored: Ignored) -> Source:
    """Return all photos and videos below a folder, in the order of their paths, also if there are none.

    Links are followed, each folder is entered once, so that loops end, and files outside the folder are left out: a
    gallery reads only what is below its roots.
    """
    unreadable: list[tuple[str, str]] = []
    found = list(walk_files(root, unreadable, keeps=ignored.keeps))
    files = sorted(file for file in found if kind_of(file) is not None)
    source = files_source(files, roots, root, frames)
    source.left_out += unreadable
    source.unreadable = [name for name, _ in unreadable]
    source.remarks = [*explain_left_out(file.name for file in found if kind_of(file) is None), *ignored.sentences()]
    source.ignored = ignored
    return source


def files_source(
    files: Sequence[Path], roots: Sequence[str] = (), root: Path | None = None, frames: bool = False
) -> Source:
    """Return files as a source.

    Args:
        files: Photos and videos.
        roots: Folders that the gallery already knows; files in one of them belong to it.
        root: Folder that the other files belong to; by default their own.
        frames: Whether animations are videos.

    Raises:
        UserError: If a file is not a photo or video by its ending.
    """
    for file in files:
        if kind_of(file) is None:
            advice = " ".join(explain_left_out([file.name]))
            raise UserError(f"{file} is not a photo or video, such as {EXAMPLES}. {advice}".rstrip())
    start = root or files[0].parent.resolve()
    moving = _animations(files) if frames else frozenset()
    descriptions = {str(folder): read_descriptions(folder) for folder in {*map(stored_path, roots), start}}
    candidates, left_out = [], []
    taken: set[str] = set()
    known = [str(stored_path(folder)) for folder in roots]
    for file in files:
        path = file if root else start / file.name
        owner = max((folder for folder in known if path.is_relative_to(folder)), key=len, default=str(start))
        problem = _problem(path, Path(owner))
        if problem:
            left_out.append((str(path), problem))
            continue
        name = stored_name(path.relative_to(owner).as_posix())
        if name in taken:
            left_out.append((str(path), "another file is stored under the same name; rename one of them"))
            continue
        taken.add(name)
        description = descriptions[owner].get(name)
        if description is None and path.is_relative_to(start):
            description = descriptions[str(start)].get(stored_name(path.relative_to(start).as_posix()))
        kind = VIDEO if file in moving else str(kind_of(path))
        candidates.append(Candidate(stored_name(owner), name, name, kind, description, path))
    return Source(FOLDER, stored_name(start), len(candidates), lambda begin, end: candidates[begin:end], left_out)


def _animations(files: Sequence[Path]) -> frozenset[Path]:
    # Imports torch.
    from processing.images import is_animated_file

    return frozenset(file for file in files if kind_of(file) == IMAGE and is_animated_file(file))


def _problem(path: Path, root: Path) -> str | None:
    """Return why a file cannot be indexed; None if it can."""
    try:
        real = path.resolve(strict=True)
        if not real.is_relative_to(root):
            return f"it is a link that leads out of {root}; add the folder that it leads to"
        if not stat.S_ISREG(real.stat().st_mode):
            return "it is not a regular file"
    except (OSError, RuntimeError) as error:
        return f"it cannot be read: {getattr(error, 'strerror', None) or error}"
    return None


def data_source(folder: Path, split: str | None) -> Source:
    """Return the rows of a prepared data set, with their descriptions, or with features where it has no pictures."""
    from ..data.features import choose_features
    from ..data.loading import load_data, split_of

    location = stored_name(folder.resolve())
    splits, existing = load_data(str(folder.resolve()))
    chosen = [split_of(splits, split, str(folder))] if split else list(splits.values())
    descriptions = read_descriptions(folder)
    # Splits may share rows, as `test` and `test_1k` do.
    first: dict[str, tuple[Any, int]] = {}
    for part in chosen:
        for index, name in enumerate(part["id"]):
            first.setdefault(str(name), (part, index))
    rows = list(first.values())

    @cache
    def features() -> Any:
        # Known only when the model is, which is loaded after the source is opened.
        found = choose_features(folder, source.fits or (lambda features: True))
        if existing is not None and found is None:
            raise UserError(
                f"{folder} has rows without a picture, and no features of the model's tower; compute them with "
                f"`leccr features {folder}`, or choose another model."
            )
        return found

    def read(begin: int, end: int) -> list[Candidate]:
        return [_from_row(location, part[index], descriptions, features) for part, index in rows[begin:end]]

    source = Source(DATA, location, len(rows), read)
    return _nonempty(source)


def hub_source(name: str, split: str | None) -> Source:
    """Return the rows of a data set from the Hub: its first column of pictures, and its columns id and description."""
    from datasets import DatasetDict, Image

    from processing.references import check_references
    from processing.storage import undecoded

    try:
        loaded = _from_hub(name, split)
    except UserError:
        raise
    except Exception as error:  # whatever the Hub, the network or the data set's own files raise
        raise UserError(
            f"There is no folder {name}, and no data set of this name can be loaded from the Hub: "
            f"{' '.join(str(error).split())[:200]}"
        ) from error
    chosen: Any = loaded.values() if isinstance(loaded, DatasetDict) else [loaded]
    rows = []
    for number, part in enumerate(map(undecoded, chosen)):
        column = next((column for column, feature in part.features.items() if isinstance(feature, Image)), None)
        if column is None:
            raise UserError(f"The data set {name} has no column of pictures; it has {', '.join(part.column_names)}.")
        part = part.select_columns([key for key in part.column_names if key in (column, "id", "description")])
        check_references(part, _hub_folders(name), lambda index: f"the data set {name}")
        rows += [(part, column, f"{number}/{index}", index) for index in range(len(part))]

    def read(begin: int, end: int) -> list[Candidate]:
        candidates = []
        for part, column, default_id, index in rows[begin:end]:
            row = part[index]
            fields = {
                "id": row.get("id", default_id),
                "image": row[column],
                "description": row.get("description"),
            }
            candidates.append(_from_row(name, fields, {}))
        return candidates

    return _nonempty(Source(HUB, name, len(rows), read))


def _from_hub(name: str, split: str | None) -> Any:
    """Load a data set from the Hub, its Parquet files measured before they are decoded."""
    from datasets import DownloadManager, load_dataset, load_dataset_builder

    from processing.parquet_guard import check_parquet

    # A builder from the cache has no files: they were measured when it was filled.
    files = load_dataset_builder(name).config.data_files or {}
    tables = [file for part in files.values() for file in part if str(file).lower().endswith(".parquet")]
    for path in DownloadManager().download(tables):
        check_parquet(Path(path))
    return load_dataset(name, split=split)


def _hub_folders(name: str) -> list[Path]:
    """Return the folders of the cache that a data set from the Hub may refer to."""
    from datasets import config
    from huggingface_hub import constants

    repository = Path(constants.HF_HUB_CACHE, f"datasets--{name.replace('/', '--')}")
    return [repository, Path(config.DOWNLOADED_DATASETS_PATH), Path(config.EXTRACTED_DATASETS_PATH)]


def _from_row(
    location: str, row: Mapping[str, Any], descriptions: Mapping[str, str], features: Callable[[], Any] = lambda: None
) -> Candidate:
    name, image, video = str(row["id"]), row.get("image"), row.get("video")
    fields = {"image": image, "video": video}
    file = features() if image is None and video is None else None
    if file is not None and name in file:
        fields["visual_features"] = file[name]
    path = (image or {}).get("path") or video or name
    description = row.get("description") or descriptions.get(name)
    return Candidate(location, name, str(path), VIDEO if video else IMAGE, description, row=fields)


def _nonempty(source: Source) -> Source:
    if not source.count:
        raise UserError(f"{source.location} has no rows to index.")
    return source
