"""The commands `leccr gallery sync`, `relocate` and `duplicates`."""

from pathlib import Path
from typing import Annotated

import typer

from processing.writable import check_writable

from ..gallery.options import SyncOptions
from .gallery import BatchSize, DescribeWith, Endpoint, GalleryFolder, Model, need_model, need_models
from .options import Device, Dtype, Exclude, Ocr, Processes, TrustRemoteCode, Workers


def sync(
    folder: GalleryFolder,
    watch: Annotated[bool, typer.Option("--watch", help="Go on whenever something changes, until Ctrl-C.")] = False,
    exclude: Exclude = None,
    keep_missing: Annotated[
        bool, typer.Option("--keep-missing", help="Keep items whose files are gone, and mark them in answers.")
    ] = SyncOptions.keep_missing,
    model: Model = None,
    describe_with: DescribeWith = SyncOptions.describe_with,
    endpoint: Endpoint = SyncOptions.endpoint,
    ocr: Ocr = SyncOptions.ocr,
    batch_size: BatchSize = SyncOptions.batch_size,
    workers: Workers = SyncOptions.workers,
    processes: Processes = SyncOptions.processes,
    device: Device = SyncOptions.device,
    dtype: Dtype = "auto",
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Follow the folders of a gallery.

    New and changed files are encoded, moved ones keep what was computed, and deleted ones leave the answers.
    """
    need_model(folder, model)
    check_writable(folder, folder=True)
    need_models(describe_with if endpoint is None else None)

    from ..gallery.manage_sync import run_sync

    options = SyncOptions(
        describe_with=describe_with,
        endpoint=endpoint,
        ocr=ocr,
        batch_size=batch_size,
        workers=workers,
        processes=processes,
        device=device,
        exclude=tuple(exclude or ()),
        keep_missing=keep_missing,
    )
    run_sync(folder, model, options, watch, dtype=dtype, trust_remote_code=trust_remote_code)


def relocate(
    folder: GalleryFolder,
    old: Annotated[str, typer.Argument(help="The folder's path so far.")],
    new: Annotated[Path, typer.Argument(help="Its path now.")],
) -> None:
    """Tell a gallery where a folder is now.

    Nothing is read or encoded.
    """
    check_writable(folder, folder=True)

    from ..gallery.manage_sync import run_relocate

    run_relocate(folder, old, new)


def duplicates(
    folder: GalleryFolder,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON per group.")] = False,
) -> None:
    """List groups of nearly identical pictures.

    They are found by what the gallery has stored; nothing is read or encoded. The first of a group was added first.
    """
    from ..gallery.manage_sync import run_duplicates

    run_duplicates(folder, as_json)
