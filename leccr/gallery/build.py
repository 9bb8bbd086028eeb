"""`leccr index` and `leccr gallery add`: a source is read, described if asked for, encoded and stored."""

import dataclasses
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from processing.descriptions import DESCRIPTIONS_FILE
from processing.device import check_names
from processing.names import stored_path
from processing.writing import part_path

from ..arguments import check_checkpoint, repository_of
from ..errors import UserError
from .candidates import Source
from .describing import describe_source
from .ignored import ignored_in
from .options import AddOptions, IndexOptions
from .sources import open_source
from .store.catalogue import FILE, FOLDER, Catalogue, folder_roots, read_state, write_state
from .store.followed import Followed, follow, followed_folders
from .store.maintenance import check_choices, convert_gallery, engine_fields, settle
from .store.state import State
from .store.storage import check_installed, open_storage

# What imports torch is imported where it is used, so that a misspelt source is reported immediately.
if TYPE_CHECKING:
    from ..models.encoder import Encoder
    from .add import AddReport


def build_gallery(
    source: str, model: "str | Encoder", folder: Path, options: IndexOptions
) -> "tuple[Encoder, AddReport]":
    """Index a source into a new gallery, or resume an earlier run.

    A run that is stopped leaves a gallery with what it has done; the same call resumes from there.

    Args:
        source: Folder of photos and videos, prepared data set, or name of a data set on the Hub.
        model: Checkpoint, or a loaded encoder.
        folder: The gallery's folder: new, empty, or a gallery of the same model.
        options: How to read, encode and store.

    Returns:
        The model, and what became of the candidates.

    Raises:
        UserError: If there is nothing to index, the model cannot be loaded, or the folder holds something else.
    """
    form = (options.store, options.ann, options.engine, options.uri)
    check_choices(*form)
    _check_shots(options.shots)
    check_names(options.device, options.dtype)
    exists = (folder / FILE).exists()
    if not exists and folder.exists() and not _is_free(folder):
        raise UserError(f"{folder} is not a gallery, and not empty; choose another folder with --out.")
    candidates = _open(source, options, Catalogue(folder) if exists else None)
    loading = {name: getattr(options, name) for name in ("device", "dtype", "trust_remote_code")}
    if exists:
        catalogue = Catalogue(folder)
        check_weight(_state(catalogue), str(folder), options.description_weight)
        _check_same_shots(_state(catalogue), str(folder), options.shots)
        encoder = load_encoder(model, _state(catalogue), str(folder), **loading)
    else:
        encoder = _with_sentences(_encoder(model, **loading), options.description_weight)
        catalogue = Catalogue.create(folder, _empty_state(encoder, options))
    try:
        report = _add(catalogue, candidates, encoder, options)
    except UserError:
        if not exists and not _state(catalogue).items:
            _forget(catalogue)
        raise
    _check_not_empty(catalogue, report, not exists)
    convert_gallery(catalogue, *form)
    _compare_with_unrelated(catalogue, encoder, report)
    return encoder, report


def add_to_gallery(
    catalogue: Catalogue, load: "Callable[[], Encoder]", source: str, options: AddOptions
) -> "AddReport":
    """Add a folder, a file or a data set to a gallery.

    Args:
        catalogue: The gallery's catalogue.
        load: Returns the gallery's encoder.
        source: As for `build_gallery`, or a file.
        options: How to read and encode.
    """
    check_weight(_state(catalogue), str(catalogue.folder), options.description_weight)
    candidates = _open(source, options, catalogue)
    encoder = load()
    report = _add(catalogue, candidates, encoder, options)
    finish_adding(catalogue, encoder, report)
    return report


def finish_adding(catalogue: Catalogue, encoder: "Encoder", report: "AddReport") -> None:
    """Do what is left to do after something was added to a gallery."""
    settle(catalogue)
    _compare_with_unrelated(catalogue, encoder, report)


def _open(source: str, options: AddOptions, catalogue: Catalogue | None) -> Source:
    """Open a source that is added to a gallery, or to a new one."""
    roots: Sequence[str] = ()
    folders: Sequence[Followed] = ()
    if catalogue is not None:
        with catalogue.reading() as connection:
            roots, folders = folder_roots(connection), followed_folders(connection)
    ignored = ignored_in(folders, source, options.exclude)
    return open_source(source, options.split, roots, options.frames, ignored)


def _compare_with_unrelated(catalogue: Catalogue, encoder: "Encoder", report: "AddReport") -> None:
    from .confidence import store_unrelated

    state = _state(catalogue)
    if state.items and (state.unrelated is None or report.added or report.replaced):
        store_unrelated(catalogue, encoder)


def load_encoder(model: "str | Encoder | None", state: State, gallery: str, **loading: Any) -> "Encoder":
    """Load the model of a gallery, and make sure that it made the gallery's views.

    Args:
        model: Checkpoint or loaded encoder; None means the checkpoint that the gallery names.
        state: The gallery's state.
        gallery: Its name, for messages.
        **loading: How a checkpoint is loaded: `device`, `dtype` and `trust_remote_code` of `Encoder.load`.

    Raises:
        UserError: If it is another model.
    """
    check_installed(state.engine)
    try:
        encoder = _encoder(model or state.model, **loading)
    except UserError as error:
        if model is not None:
            raise
        raise UserError(
            f"The gallery {gallery} was built with the model {state.model}, which cannot be loaded; say with --model "
            f"where it is. {error}"
        ) from error
    fingerprint = encoder.fingerprint()
    if fingerprint != state.fingerprint:
        raise UserError(
            f"The gallery {gallery} was built with the model {state.model} ({state.fingerprint}), and not with "
            f"{encoder.name} ({fingerprint}): use that model, or index the pictures again."
        )
    if encoder.description_weight is not None:
        check_weight(state, gallery, encoder.description_weight)
        return encoder
    return _with_sentences(encoder, state.description_weight, state.sentence_gate)


def check_weight(state: State, gallery: str, weight: float | None) -> None:
    """Raise UserError if descriptions have another weight in a gallery than is asked for."""
    has = state.description_weight or 0.0
    if weight is not None and weight != has:
        raise UserError(
            f"The gallery {gallery} was built with --description-weight {has:g}, and not {weight:g}: leave the option "
            "out, or index the pictures into another gallery."
        )


def _check_shots(shots: str | None) -> None:
    if shots is not None:
        # Imports torch.
        from processing.shots import check_shots

        check_shots(shots)


def _check_same_shots(state: State, gallery: str, shots: str | None) -> None:
    if shots is not None and shots != state.shots:
        raise UserError(
            f"The gallery {gallery} was built with --shots {state.shots}, and not {shots}: leave the option out, or "
            "index the videos into another gallery."
        )


def _encoder(model: "str | Encoder", **loading: Any) -> "Encoder":
    if not isinstance(model, str):
        return model
    check_checkpoint(model)
    from ..models.encoder import Encoder

    return Encoder.load(model, **loading)


def _with_sentences(encoder: "Encoder", weight: float | None, *gate: float) -> "Encoder":
    from ..models.sentence_views import with_sentences

    return with_sentences(encoder, weight, *gate)


def _is_free(folder: Path) -> bool:
    """Return whether a folder is empty, except for what a run that was killed at its very start left."""
    return folder.is_dir() and all(path.name.startswith(part_path(folder / FILE).name) for path in folder.iterdir())


def _empty_state(encoder: "Encoder", options: IndexOptions) -> State:
    # An absolute path is found again wherever the program is started.
    where = repository_of(encoder.name)
    prefix = encoder.name.removesuffix(where)
    name = prefix + str(Path(where).resolve()) if os.path.isdir(where) else encoder.name
    state = State(
        name,
        encoder.fingerprint(),
        encoder.view_count,
        encoder.width,
        encoder.slots,
        encoder.description_weight,
        encoder.sentence_gate,
        shots=options.shots or State.shots,
    )
    return dataclasses.replace(state, **engine_fields(options.engine, options.uri))


def _check_not_empty(catalogue: Catalogue, report: "AddReport", new: bool) -> None:
    if _state(catalogue).items:
        return
    if new:
        _forget(catalogue)
    name, reason = report.broken[0] if report.broken else ("it", "there is nothing in it")
    raise UserError(f"None of {len(report.broken)} files could be used; the first is {name}: {reason}")


def _forget(catalogue: Catalogue) -> None:
    """Delete a new gallery without items, unless it has descriptions, from which the same call resumes."""
    if (catalogue.folder / DESCRIPTIONS_FILE).exists():
        return
    catalogue.close()
    catalogue.path.unlink()
    if not any(catalogue.folder.iterdir()):
        catalogue.folder.rmdir()


def _add(catalogue: Catalogue, source: Source, encoder: "Encoder", options: AddOptions) -> "AddReport":
    """Add a source; files that were moved into it from where the gallery knows them keep their views."""
    from .reconcile import reconcile

    walked = [stored_path(source.location)] if source.ignored is not None else []
    moved = reconcile(catalogue, source.read(0, source.count), walked).moved if source.kind == FOLDER else 0
    report = add_source(catalogue, source, encoder, options)
    report.moved, report.unchanged = moved, max(0, report.unchanged - moved)
    return report


def add_source(catalogue: Catalogue, source: Source, encoder: "Encoder", options: AddOptions) -> "AddReport":
    """Add a source without looking for moved files."""
    from .add import Adder
    from .writing import open_reader, read_writing

    source.fits = encoder.takes_features
    if options.frames and not encoder.takes_videos:
        raise UserError(
            "--frames makes videos of animations, but the model takes pictures only; leave it out, or choose a model "
            "that was trained on videos."
        )
    # Before hours of work that do without it.
    read = open_reader() if options.ocr else None
    descriptions = describe_source(catalogue, source, options)
    storage = open_storage(catalogue.folder, _state(catalogue))
    reading = (options.workers, options.processes)
    adder = Adder(catalogue, storage, encoder, options.batch_size, *reading, options.commit_seconds)
    with _unfinished(catalogue, source, options):
        report = adder.add(source, descriptions)
        if read is not None:
            report.written, report.unread = read_writing(catalogue, source, read, options.commit_seconds)
        return report


@contextmanager
def _unfinished(catalogue: Catalogue, source: Source, options: AddOptions) -> Iterator[None]:
    """Mark the gallery as unfinished; the mark stays if the work is stopped."""
    with catalogue.writing() as connection:
        if source.ignored is not None:
            follow(connection, source.location, options.exclude, options.frames)
        _mark(connection, str(catalogue.folder), source.location)
    yield
    with catalogue.writing() as connection:
        _mark(connection, str(catalogue.folder), None)


def _mark(connection: sqlite3.Connection, gallery: str, location: str | None) -> None:
    state = read_state(connection, gallery)
    if state.unfinished != location:
        write_state(connection, dataclasses.replace(state, unfinished=location, version=state.version + 1))


def _state(catalogue: Catalogue) -> State:
    with catalogue.reading() as connection:
        return read_state(connection, str(catalogue.folder))
