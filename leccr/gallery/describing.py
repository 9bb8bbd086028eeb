"""Describing what is added to a gallery by a multimodal model."""

from collections.abc import Container, Iterator, Mapping
from typing import TYPE_CHECKING

from processing.descriptions import DESCRIPTIONS_FILE, read_descriptions

from ..errors import UserError
from .candidates import Source
from .known import described_keys
from .options import AddOptions
from .store.catalogue import Catalogue, read_state
from .store.moments import moment_id

if TYPE_CHECKING:
    from PIL import Image as PillowImage

    from processing.video import Span

CANDIDATES_PER_READ = 64


def describe_source(catalogue: Catalogue, source: Source, adding: AddOptions) -> Mapping[str, str]:
    """Describe all candidates that have no description, if a model for that is named, and return descriptions by key.

    Of a long video each shot is described, as each picture is, by the key that a candidate with its id would have. The
    gallery's journal keeps the answers as they come; a stopped run resumes from there.

    Args:
        catalogue: The gallery's catalogue.
        source: Candidates.
        adding: With the model that describes, and where it runs.

    Raises:
        UserError: If the model cannot be loaded, the endpoint fails, or earlier answers have other settings.
    """
    if adding.describe_with is None:
        return read_descriptions(catalogue.folder)
    from processing.generation.describe import describe_pictures
    from processing.generation.journal import Journal
    from processing.generation.prompts import load_prompts
    from processing.video import open_visual

    from ..data.describe import open_describer
    from ..data.options import DescribeOptions

    options = DescribeOptions(model=adding.describe_with, endpoint=adding.endpoint, device=adding.device)
    with catalogue.reading() as connection:
        shots = read_state(connection, str(catalogue.folder)).shots
    undescribed = list(_undescribed(source, described_keys(catalogue, source), shots))

    def open_pictures(number: int) -> "list[PillowImage.Image]":
        _, index, span = undescribed[number]
        [candidate] = source.read(index, index + 1)
        return open_visual({**candidate.as_row(), "span": span}, options.num_frames)

    if undescribed:
        keys, prompts = [key for key, _, _ in undescribed], load_prompts(options.prompts)
        with open_describer(options) as describer, Journal(catalogue.folder / DESCRIPTIONS_FILE) as journal:
            describe_pictures(keys, open_pictures, describer, prompts, journal, skip_broken=True)
    return read_descriptions(catalogue.folder)


def _undescribed(source: Source, known: Container[str], shots: str) -> "Iterator[tuple[str, int, Span | None]]":
    """Yield the key of whatever needs a description, its candidate's index in the source, and for a shot its time."""
    from .incoming import moment_in, spans_of

    for start, chunk in zip(range(0, source.count, CANDIDATES_PER_READ), source.chunks(CANDIDATES_PER_READ)):
        for index, candidate in enumerate(chunk, start):
            if candidate.description is not None or candidate.key in known:
                continue
            try:
                spans = spans_of(candidate, shots)
            except UserError:
                # The journal says so, and so does the report of what was added.
                spans = []
            if len(spans) < 2:
                yield candidate.key, index, None
                continue
            for span in spans:
                id = moment_id(candidate.id, moment_in(spans, span))
                yield f"{candidate.location}/{id}", index, span
