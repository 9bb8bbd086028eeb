"""Where pictures come from: a folder, a data set on the Hub in the same layout, or the samples next to the app."""

import json
import os
import stat
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from space_errors import SpaceError
from space_pictures import image_suffixes
from space_search import Picture

SAMPLES = Path(__file__).parent / "samples"
MOST_PICTURES = 2000
LONGEST_DESCRIPTION = 2000


@dataclass(frozen=True)
class Source:
    """Pictures, and what to ask of them.

    Attributes:
        title: What they are.
        pictures: The pictures.
        ideas: Queries that mean the same, by language; none if the pictures bring none.
        left_out: How many more there are.
        unreadable: Folders in it that cannot be read.
    """

    title: str
    pictures: list[Picture]
    ideas: Sequence[Mapping[str, str]] = ()
    left_out: int = 0
    unreadable: Sequence[str] = ()


def open_source(name: str | Path) -> Source:
    """Return the pictures of a folder, or of a data set on the Hub.

    Descriptions are taken from `metadata.jsonl` (`file_name` with `description`, `text` or `caption`, as in
    the ImageFolder layout), from `descriptions.jsonl` (`id` and `description`, as `leccr index` reads them), or
    from `descriptions.json` (names to descriptions); queries to offer from `ideas.json`, a list of mappings from
    language to text. Each of the files may be missing.

    Raises:
        SpaceError: If there is no such folder or data set, it holds no picture, or a file of it cannot be read.
    """
    folder = Path(name)
    if not folder.is_dir():
        folder = _download(str(name))
    found, unreadable = find_files(folder)
    files = [path for path in found if path.suffix.lower() in image_suffixes()]
    if not files and unreadable:
        raise SpaceError(f"The gallery holds no pictures that can be read; the folder {unreadable[0]} cannot be read.")
    if not files:
        raise SpaceError("The gallery holds no pictures; name a folder or a data set with some.")
    descriptions = read_descriptions(folder, [path for path in found if path.name == "metadata.jsonl"])
    pictures = []
    for number, path in enumerate(files[:MOST_PICTURES]):
        relative = path.relative_to(folder).as_posix()
        description = descriptions.get(unicodedata.normalize("NFC", relative))
        pictures.append(Picture(str(number), shown_name(relative), path, description))
    return Source(Path(name).name, pictures, read_ideas(folder), len(files) - len(pictures), unreadable)


def find_files(folder: Path) -> tuple[list[Path], list[str]]:
    """Return the files below a folder, but for hidden ones, and the names of the folders that cannot be read."""
    files: list[Path] = []
    unreadable: list[str] = []

    def refused(error: OSError) -> None:
        unreadable.append(shown_name(os.path.relpath(error.filename or folder, folder)))

    for parent, folders, names in os.walk(folder, onerror=refused):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [path for name in names if not name.startswith(".") and is_file(path := Path(parent, name))]
    return sorted(files), sorted(unreadable)


def is_file(path: Path) -> bool:
    """Return whether a path is a file, or a link to one; what nobody may look at is one, too, and is named later."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except PermissionError:
        return True
    except OSError:
        return False


def _download(name: str) -> Path:
    endings = sorted(image_suffixes())
    patterns = [f"*{ending}" for ending in (*endings, *(ending.upper() for ending in endings), ".json", ".jsonl")]
    try:
        return Path(snapshot_download(name, repo_type="dataset", allow_patterns=patterns))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise SpaceError("The gallery is neither a folder nor a data set on the Hub; check its name.") from error


def read_descriptions(folder: Path, metadata: Sequence[Path]) -> dict[str, str]:
    """Return the descriptions of a folder's pictures, by their path in it.

    Args:
        folder: The folder.
        metadata: The files `metadata.jsonl` in it.

    Raises:
        SpaceError: If a file of them cannot be read.
    """
    descriptions: dict[str, str] = {}
    for path in metadata:
        parent = path.parent.relative_to(folder)
        for record in _records(path):
            text = next((record[key] for key in ("description", "text", "caption") if record.get(key)), None)
            _keep(descriptions, (parent / str(record.get("file_name", ""))).as_posix(), text)
    for record in _records(folder / "descriptions.jsonl"):
        _keep(descriptions, str(record.get("id", "")), record.get("description"))
    for name, text in _mapping(folder / "descriptions.json").items():
        _keep(descriptions, name, text)
    return descriptions


def _keep(descriptions: dict[str, str], name: str, text: object) -> None:
    if isinstance(text, str) and text.strip():
        # macOS writes accents as characters of their own.
        descriptions[unicodedata.normalize("NFC", name)] = text.strip()[:LONGEST_DESCRIPTION]


def shown_name(name: str) -> str:
    r"""Return a file's name as text; bytes that are not UTF-8, which no answer could hold, become `\xff`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _records(path: Path) -> list[dict[str, object]]:
    lines = _read(path).splitlines()
    try:
        records = [json.loads(line) for line in lines if line.strip()]
    except ValueError as error:
        raise SpaceError(f"{path.name} of the gallery is not a file with one JSON object per line.") from error
    return [record for record in records if isinstance(record, dict)]


def _mapping(path: Path) -> dict[str, object]:
    try:
        content = json.loads(_read(path) or "{}")
    except ValueError as error:
        raise SpaceError(f"{path.name} of the gallery is not a JSON file.") from error
    return content if isinstance(content, dict) else {}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise SpaceError(f"{path.name} of the gallery cannot be read as UTF-8 text.") from error


def read_ideas(folder: Path) -> Sequence[Mapping[str, str]]:
    """Return the queries that a gallery offers, if it has the file for them."""
    try:
        ideas = json.loads(_read(folder / "ideas.json") or "[]")
    except ValueError as error:
        raise SpaceError("ideas.json of the gallery is not a JSON file.") from error
    good = [
        {str(language): text for language, text in idea.items() if isinstance(text, str) and text.strip()}
        for idea in ideas
        if isinstance(idea, dict)
    ]
    return [idea for idea in good if idea]
