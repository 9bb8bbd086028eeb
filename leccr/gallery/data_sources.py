"""Rows of a prepared data set, or of one of the Hub."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from datasets import DatasetDict, Image, load_dataset

from processing.storage import undecoded

from ..data.loading import load_data, split_of
from ..errors import UserError
from .candidates import Candidate, Source, read_descriptions
from .store.catalogue import DATA, HUB, IMAGE, VIDEO


def data_source(folder: Path, split: str | None) -> Source:
    """Return the rows of a prepared data set, with their descriptions, or with features where it has no pictures."""
    location = str(folder.resolve())
    splits, features = load_data(location)
    chosen = [split_of(splits, split, str(folder))] if split else list(splits.values())
    descriptions = read_descriptions(folder)
    places = [(rows, place) for rows in chosen for place in range(len(rows))]

    def read(begin: int, end: int) -> list[Candidate]:
        return [_of_row(location, rows[place], descriptions, features) for rows, place in places[begin:end]]

    return _nonempty(Source(DATA, location, len(places), read))


def _of_row(location: str, row: Mapping[str, Any], descriptions: Mapping[str, str], features: Any = None) -> Candidate:
    name, image, video = str(row["id"]), row.get("image"), row.get("video")
    fields = {"image": image, "video": video}
    if image is None and video is None and features is not None and name in features:
        fields["visual_features"] = features[name]
    path = (image or {}).get("path") or video or name
    description = row.get("description") or descriptions.get(name)
    return Candidate(location, name, str(path), VIDEO if video else IMAGE, description, row=fields)


def hub_source(name: str, split: str | None) -> Source:
    """Return the rows of a data set of the Hub: its first column of pictures, and its columns id and description."""
    try:
        loaded = load_dataset(name, split=split)
    except Exception as error:  # whatever the Hub, the network or the data set's own files raise
        raise UserError(
            f"There is no folder {name}, nor can a data set of this name be loaded from the Hub: "
            f"{' '.join(str(error).split())[:200]}"
        ) from error
    chosen: Iterable[Any] = loaded.values() if isinstance(loaded, DatasetDict) else [loaded]
    places = []
    for part, rows in enumerate(map(undecoded, chosen)):
        column = next((column for column, kind in rows.features.items() if isinstance(kind, Image)), None)
        if column is None:
            raise UserError(f"The data set {name} has no column of pictures; it has {', '.join(rows.column_names)}.")
        places += [(rows, column, part, place) for place in range(len(rows))]

    def read(begin: int, end: int) -> list[Candidate]:
        found = []
        for rows, column, part, place in places[begin:end]:
            row = rows[place]
            fields = {
                "id": row.get("id", f"{part}/{place}"),
                "image": row[column],
                "description": row.get("description"),
            }
            found.append(_of_row(name, fields, {}))
        return found

    return _nonempty(Source(HUB, name, len(places), read))


def _nonempty(source: Source) -> Source:
    if not source.count:
        raise UserError(f"{source.location} has no rows to index.")
    return source
