"""Describing what is to be indexed with a multimodal language model, first and resumably."""

from pathlib import Path

import torch
from PIL import Image as PillowImage

from processing.generation.describe import describe_pictures
from processing.generation.journal import Journal
from processing.generation.prompts import load_prompts
from processing.video import open_visual

from ..data.describe import open_describer
from ..data.options import DescribeOptions
from .candidates import Source, read_descriptions

CANDIDATES_AT_ONCE = 64


def describe_source(
    source: Source, path: Path, model: str, endpoint: str | None = None, device: str | torch.device = "auto"
) -> dict[str, str]:
    """Describe all candidates that come without a description, and return descriptions by the candidates' keys.

    Args:
        source: Candidates.
        path: Journal that keeps the answers as they come; a run that was stopped goes on from there.
        model: Folder or Hub name of an image-text-to-text model, or what the endpoint calls it.
        endpoint: Address of an OpenAI-compatible server that runs the model.
        device: Where the model runs otherwise.

    Raises:
        UserError: If the endpoint fails, the model cannot be loaded, or earlier answers have other settings.
    """
    silent = [
        (start + place, candidate.key)
        for start, chunk in zip(range(0, source.count, CANDIDATES_AT_ONCE), source.chunks(CANDIDATES_AT_ONCE))
        for place, candidate in enumerate(chunk)
        if candidate.description is None
    ]
    if silent:
        _describe(source, [place for place, _ in silent], [key for _, key in silent], path, model, endpoint, device)
    return read_descriptions(path.parent)


def _describe(
    source: Source,
    places: list[int],
    keys: list[str],
    path: Path,
    model: str,
    endpoint: str | None,
    device: str | torch.device,
) -> None:
    options = DescribeOptions(model=model, endpoint=endpoint, device=str(device))

    def open_pictures(number: int) -> list[PillowImage.Image]:
        [candidate] = source.read(places[number], places[number] + 1)
        return open_visual(candidate.as_row(), options.num_frames)

    with open_describer(options) as describer, Journal(path) as journal:
        describe_pictures(keys, open_pictures, describer, load_prompts(options.prompts), journal, skip_broken=True)
