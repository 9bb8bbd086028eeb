"""Candidates and the items that a gallery has of them."""

import dataclasses
from collections.abc import Mapping

from .candidates import Candidate, Source
from .store.catalogue import Catalogue

CANDIDATES_PER_READ = 500


def described(candidate: Candidate, descriptions: Mapping[str, str]) -> Candidate:
    """Return a candidate with its description among others, by key, if it has none of its own."""
    if candidate.description is not None or candidate.key not in descriptions:
        return candidate
    return dataclasses.replace(candidate, description=descriptions[candidate.key])


def described_keys(catalogue: Catalogue, source: Source) -> set[str]:
    """Return the keys of the files that have not changed, and of whose items the gallery has descriptions."""
    # Imports torch.
    from .incoming import known_items

    keys = set()
    for chunk in source.chunks(CANDIDATES_PER_READ):
        with catalogue.reading() as connection:
            known = known_items(connection, [candidate for candidate in chunk if candidate.file is not None])
        for candidate in chunk:
            rows = known.get(candidate.key)
            if rows and rows[0].description is not None and candidate.is_as(rows[0].size, rows[0].time):
                keys.add(candidate.key)
    return keys
