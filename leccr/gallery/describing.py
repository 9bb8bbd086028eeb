"""Describing what is added to a gallery by a multimodal model."""

from collections.abc import Container
from pathlib import Path
from typing import TYPE_CHECKING

from .candidates import Source, read_descriptions

if TYPE_CHECKING:
    from PIL import Image as PillowImage

CANDIDATES_PER_READ = 64


def describe_source(
    source: Source,
    path: Path,
    model: str,
    endpoint: str | None = None,
    device: str = "auto",
    known: Container[str] = (),
) -> dict[str, str]:
    """Describe all candidates that have no description, and return descriptions by the candidates' keys.

    Args:
        source: Candidates.
        path: Journal that keeps the answers as they come; a stopped run resumes from there.
        model: Folder or Hub name of an image-text-to-text model, or what the endpoint calls it.
        endpoint: Address of an OpenAI-compatible server that runs the model.
        device: Where the model runs without an endpoint.
        known: Keys of candidates that have a description in the gallery.

    Raises:
        UserError: If the model cannot be loaded, the endpoint fails, or earlier answers have other settings.
    """
    from processing.generation.describe import describe_pictures
    from processing.generation.journal import Journal
    from processing.generation.prompts import load_prompts
    from processing.video import open_visual

    from ..data.describe import open_describer
    from ..data.options import DescribeOptions

    options = DescribeOptions(model=model, endpoint=endpoint, device=device)
    undescribed = [
        (start + offset, candidate.key)
        for start, chunk in zip(range(0, source.count, CANDIDATES_PER_READ), source.chunks(CANDIDATES_PER_READ))
        for offset, candidate in enumerate(chunk)
        if candidate.description is None and candidate.key not in known
    ]

    def open_pictures(number: int) -> "list[PillowImage.Image]":
        index, _ = undescribed[number]
        [candidate] = source.read(index, index + 1)
        return open_visual(candidate.as_row(), options.num_frames)

    if undescribed:
        keys, prompts = [key for _, key in undescribed], load_prompts(options.prompts)
        with open_describer(options) as describer, Journal(path) as journal:
            describe_pictures(keys, open_pictures, describer, prompts, journal, skip_broken=True)
    return read_descriptions(path.parent)
