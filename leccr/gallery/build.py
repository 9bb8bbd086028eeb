"""What the commands `index`, `gallery add` and `gallery convert` do."""

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch

from processing.device import choose_device

from ..errors import UserError
from ..models.encoder import Encoder
from .add import SECONDS_BETWEEN_COMMITS, Adder, AddReport
from .candidates import DESCRIPTIONS_FILE, Source, read_descriptions
from .sources import open_source
from .store.catalogue import FILE, FOLDER, Catalogue, read_state, sources_of, write_state
from .store.converting import check_choices, convert_gallery, engine_fields
from .store.maintenance import settle
from .store.state import State
from .store.storage import open_storage


def build_gallery(
    source: str,
    model: str | Encoder,
    folder: Path,
    *,
    split: str | None = None,
    store: str = "fp32",
    ann: str | None = None,
    engine: str = "faiss",
    uri: str | None = None,
    describe_with: str | None = None,
    endpoint: str | None = None,
    batch_size: int = 32,
    workers: int = 4,
    commit_seconds: float = SECONDS_BETWEEN_COMMITS,
    device: str | torch.device = "auto",
    dtype: str = "auto",
) -> tuple[Encoder, AddReport]:
    """Index a source into a new gallery, or go on where an earlier run was stopped.

    A run that is stopped leaves a gallery with what it has done; the same call goes on from there.

    Args:
        source: Folder of photos and videos, prepared data set, or name of a data set on the Hub.
        model: Checkpoint, or a loaded encoder.
        folder: The gallery's folder: new, empty, or a gallery of the same model.
        split: Split of a data set; None means all.
        store: How views are stored: `fp32`, `fp16` or `int8`.
        ann: `hnsw` or `ivfpq` for an approximate index; None for exact search.
        engine: `faiss`, or `milvus` for a server.
        uri: Address of the Milvus server, or a name that ends in `.db` for a file in the gallery's folder.
        describe_with: Model that describes what has no description yet.
        endpoint: OpenAI-compatible server that runs that model.
        batch_size: Pictures encoded at once.
        workers: Threads that decode.
        commit_seconds: Seconds of work that a crash can cost at most.
        device: Where models run, as for `processing.device.choose_device`.
        dtype: Precision of the checkpoint, as for `processing.device.choose_dtype`.

    Returns:
        The model, and what became of the candidates.

    Raises:
        UserError: If there is nothing to index, the model cannot be loaded, the folder holds something else, or
            there is no such device.
    """
    check_choices(store, ann, engine, uri)
    device = choose_device(device)
    there = (folder / FILE).exists()
    if not there and folder.exists() and not _is_free(folder):
        raise UserError(f"{folder} is no gallery, and not empty; choose another folder with --out.")
    candidates = open_source(source, split, _roots(Catalogue(folder)) if there else ())
    if there:
        catalogue = Catalogue(folder)
        encoder = load_encoder(model, _state(catalogue), str(folder), device, dtype)
    else:
        encoder = model if isinstance(model, Encoder) else Encoder.load(model, device, dtype)
        catalogue = Catalogue.create(folder, _empty_state(encoder, engine, uri))
    report = _add(catalogue, candidates, encoder, describe_with, endpoint, device, batch_size, workers, commit_seconds)
    _check_not_empty(catalogue, report, not there)
    convert_gallery(catalogue, store, ann, engine, uri)
    return encoder, report


def _is_free(folder: Path) -> bool:
    """Return whether a folder holds nothing but what a run that was killed at its very beginning left."""
    return folder.is_dir() and all(path.name.startswith(FILE) for path in folder.iterdir())


def _empty_state(encoder: Encoder, engine: str, uri: str | None) -> State:
    # A folder is found again wherever the program is started.
    name = str(Path(encoder.name).resolve()) if os.path.isdir(encoder.name) else encoder.name
    state = State(name, encoder.fingerprint(), encoder.view_count, encoder.width, encoder.slots)
    return dataclasses.replace(state, **engine_fields(engine, uri))


def _check_not_empty(catalogue: Catalogue, report: AddReport, new: bool) -> None:
    if _state(catalogue).items:
        return
    if new:
        catalogue.close()
        catalogue.path.unlink()
        if not any(catalogue.folder.iterdir()):
            catalogue.folder.rmdir()
    name, reason = report.broken[0] if report.broken else ("it", "there is nothing in it")
    raise UserError(f"None of {len(report.broken)} files could be used; the first is {name}: {reason}")


def load_encoder(
    model: str | Encoder | None,
    state: State,
    gallery: str,
    device: str | torch.device = "auto",
    dtype: str = "auto",
) -> Encoder:
    """Load the model of a gallery, and make sure that it is the one.

    Args:
        model: Checkpoint or loaded encoder; None means the checkpoint that the gallery names.
        state: The gallery's state.
        gallery: Its name, for messages.
        device: Where a checkpoint is loaded.
        dtype: Its precision.

    Raises:
        UserError: If it is another model.
    """
    if isinstance(model, Encoder):
        encoder = model
    else:
        try:
            encoder = Encoder.load(model or state.model, device, dtype)
        except UserError as error:
            if model is not None:
                raise
            raise UserError(
                f"The gallery {gallery} was built with the model {state.model}, which cannot be loaded; say with "
                f"--model where it is. {error}"
            ) from error
    fingerprint = encoder.fingerprint()
    if fingerprint != state.fingerprint:
        raise UserError(
            f"The gallery {gallery} was built with the model {state.model} ({state.fingerprint}), and not with "
            f"{encoder.name} ({fingerprint}): use that model, or index the pictures anew."
        )
    return encoder


def add_to_gallery(
    catalogue: Catalogue,
    load: Callable[[], Encoder],
    source: str,
    *,
    split: str | None = None,
    describe_with: str | None = None,
    endpoint: str | None = None,
    batch_size: int = 32,
    workers: int = 4,
    commit_seconds: float = SECONDS_BETWEEN_COMMITS,
    device: str | torch.device = "auto",
) -> AddReport:
    """Add a folder, a file or a data set to the gallery of a catalogue.

    `load` returns its encoder; the other arguments are as for `build_gallery`.
    """
    candidates = open_source(source, split, _roots(catalogue))
    report = _add(catalogue, candidates, load(), describe_with, endpoint, device, batch_size, workers, commit_seconds)
    settle(catalogue)
    return report


def _add(
    catalogue: Catalogue,
    source: Source,
    encoder: Encoder,
    describe_with: str | None,
    endpoint: str | None,
    device: str | torch.device,
    batch_size: int,
    workers: int,
    commit_seconds: float,
) -> AddReport:
    descriptions: Mapping[str, str] = read_descriptions(catalogue.folder)
    if describe_with is not None:
        from .describing import describe_source

        descriptions = describe_source(source, catalogue.folder / DESCRIPTIONS_FILE, describe_with, endpoint, device)
    storage = open_storage(catalogue.folder, _state(catalogue))
    adder = Adder(catalogue, storage, encoder, batch_size, workers, commit_seconds)
    with _unfinished(catalogue, source.location):
        return adder.add(source, descriptions)


@contextmanager
def _unfinished(catalogue: Catalogue, location: str) -> Iterator[None]:
    """Mark the gallery as being worked on; the mark stays where the work is stopped."""
    _mark(catalogue, location)
    yield
    _mark(catalogue, None)


def _mark(catalogue: Catalogue, location: str | None) -> None:
    with catalogue.writing() as connection:
        state = read_state(connection, str(catalogue.folder))
        if state.unfinished != location:
            write_state(connection, dataclasses.replace(state, unfinished=location, version=state.version + 1))


def _state(catalogue: Catalogue) -> State:
    with catalogue.reading() as connection:
        return read_state(connection, str(catalogue.folder))


def _roots(catalogue: Catalogue) -> list[str]:
    with catalogue.reading() as connection:
        return [location for kind, location in sources_of(connection).values() if kind == FOLDER]
