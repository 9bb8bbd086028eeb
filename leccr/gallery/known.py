"""Candidates and the items that a gallery has of them."""

import dataclasses
from collections.abc import Mapping, Sequence

from .candidates import Candidate, Source
from .store.catalogue import VIDEO, Catalogue, Item
from .store.moments import video_id

CANDIDATES_PER_READ = 500


class Descriptions:
    """Descriptions of candidates, and of the shots of videos, by their keys."""

    def __init__(self, by_key: Mapping[str, str]) -> None:
        self._by_key = by_key
        self._shots: dict[str, list[str]] = {}
        for key in filter(video_id, by_key):
            self._shots.setdefault(video_id(key), []).append(key)

    def added_to(self, candidate: Candidate) -> Candidate:
        """Return a candidate with its description, and those of its shots, if it has none of its own."""
        if candidate.description is not None:
            return candidate
        keys = self._shots.get(candidate.key, ()) if candidate.kind == VIDEO else ()
        shots = {key.removeprefix(f"{candidate.location}/"): self._by_key[key] for key in keys}
        return dataclasses.replace(candidate, description=self._by_key.get(candidate.key), shots=shots)


def described_keys(catalogue: Catalogue, source: Source) -> set[str]:
    """Return the keys of the files that have not changed, and of whose items the gallery has descriptions."""
    # Imports torch.
    from .incoming import known_items

    keys = set()
    for chunk in source.chunks(CANDIDATES_PER_READ):
        with catalogue.reading() as connection:
            known = known_items(connection, [candidate for candidate in chunk if candidate.file is not None])
        for candidate in chunk:
            rows: Sequence[Item] = known.get(candidate.key, ())
            # A shot about which the model had nothing to say is not asked about again.
            if any(row.description is not None for row in rows) and candidate.is_as(rows[0].size, rows[0].time):
                keys.add(candidate.key)
    return keys
