"""A gallery as others may see it: without the folders of the machine that made it."""

import dataclasses
import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

from hub_card.names import public_name

from ..arguments import SENTENCE_TRANSFORMERS
from ..gallery.store.catalogue import FILE, HUB, Catalogue, read_state, sources_of, write_state
from ..gallery.store.facts import forget_places
from ..gallery.store.followed import followed_folders


def public_locations(sources: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the names under which the folders of a gallery are published, by their paths: the last part of each.

    Args:
        sources: Kind and location of each source.
    """
    names: dict[str, str] = {}
    for kind, location in sources:
        if kind == HUB:
            continue
        name = plain = os.path.basename(location.rstrip("/\\")) or "root"
        number = 1
        while name in names.values():
            number += 1
            name = f"{plain}-{number}"
        names[location] = name
    return names


def public_catalogue(catalogue: Catalogue) -> Path | None:
    """Copy a gallery's catalogue to a temporary folder of its own, with names in place of paths, and without places.

    Returns:
        The copy, whose folder the caller removes; None if the catalogue has no path and no place.
    """
    with catalogue.reading() as connection:
        state = read_state(connection, str(catalogue.folder))
        locations = public_locations(sources_of(connection).values())
        model = _public_model(state.model)
        [places] = connection.execute("SELECT count(*) FROM facts WHERE latitude NOT NULL").fetchone()
        if not (locations or places or followed_folders(connection)) and model == state.model:
            return None
        copy = Path(tempfile.mkdtemp(prefix="leccr-"), FILE)
        try:
            with closing(sqlite3.connect(copy, isolation_level=None)) as target:
                connection.backup(target)
                target.execute("BEGIN")
                target.executemany(
                    "UPDATE sources SET location = ? WHERE location = ?",
                    [(name, location) for location, name in locations.items()],
                )
                paths = target.execute("SELECT number, path FROM items").fetchall()
                target.executemany(
                    "UPDATE items SET path = ? WHERE number = ?",
                    [(os.path.basename(path), number) for number, path in paths if os.path.isabs(path)],
                )
                forget_places(target)
                # Paths, and patterns that somebody would rather not show.
                target.execute("DELETE FROM followed")
                unfinished = locations.get(str(state.unfinished), state.unfinished)
                write_state(target, dataclasses.replace(state, model=model, unfinished=unfinished))
                # The index still has the words of items that were removed.
                target.execute("INSERT INTO words (words) VALUES ('rebuild')")
                target.execute("COMMIT")
                # What was there before is still in parts of the file that are free now.
                target.execute("VACUUM")
        except BaseException:
            shutil.rmtree(copy.parent, ignore_errors=True)
            raise
    return copy


def _public_model(name: str) -> str:
    kind = SENTENCE_TRANSFORMERS if name.startswith(SENTENCE_TRANSFORMERS) else ""
    return kind + public_name(name.removeprefix(kind))


def public_key(line: str, locations: Mapping[str, str]) -> str:
    """Return a line of a gallery's journal, in which pictures are called by their folder and name, without the path.

    Args:
        line: A JSON record, or what is none, which stays as it is.
        locations: What `public_locations` returned.
    """
    try:
        record = json.loads(line)
        key = record["id"]
        location = next(found for found in sorted(locations, key=len, reverse=True) if key.startswith(f"{found}/"))
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration):
        return line
    record["id"] = locations[location] + key.removeprefix(location)
    return json.dumps(record, ensure_ascii=False)
