"""The commands `leccr index`, `search` and `gallery`."""

from pathlib import Path
from typing import Annotated

import typer

from .options import Device, Dtype

GalleryFolder = Annotated[Path, typer.Argument(metavar="GALLERY", help="Folder that `leccr index` wrote.")]
Source = Annotated[
    str, typer.Argument(help="Folder of photos and videos, a prepared data set, or a data set's name on the Hub.")
]
Split = Annotated[str | None, typer.Option(help="Split of a data set; by default all.")]
Model = Annotated[str | None, typer.Option(help="The gallery's model, if it is no longer where it was.")]
Store = Annotated[str | None, typer.Option(metavar="FORMAT", help="How views are stored: fp32, fp16 or int8.")]
Ann = Annotated[str | None, typer.Option(help="Approximate index: hnsw or ivfpq; none searches exactly.")]
EngineName = Annotated[str | None, typer.Option("--engine", help="faiss, in the gallery's folder, or milvus.")]
Uri = Annotated[str | None, typer.Option(help="Milvus server, such as http://localhost:19530.")]
DescribeWith = Annotated[
    str | None, typer.Option(metavar="MODEL", help="Multimodal model that describes first what has no description.")
]
Endpoint = Annotated[str | None, typer.Option(help="OpenAI-compatible server that runs that model.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Pictures encoded at once.")]
Workers = Annotated[int, typer.Option(min=1, help="Threads that decode.")]
Filter = Annotated[
    str | None,
    typer.Option("--filter", help="Such as 'path~holiday and kind=video'; also id, size, time, description, hash."),
]


def index(
    source: Source,
    model: Annotated[str, typer.Option(help="Folder or Hub name of a trained model.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write; the same command again goes on with it.")],
    split: Split = None,
    store: Store = "fp32",
    ann: Ann = None,
    engine: EngineName = "faiss",
    uri: Uri = None,
    describe_with: DescribeWith = None,
    endpoint: Endpoint = None,
    batch_size: BatchSize = 32,
    workers: Workers = 4,
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> None:
    """Build a gallery from photos and videos. Can be stopped, and goes on when started again."""
    from ..gallery.commands import run_index

    run_index(
        source,
        model,
        out,
        split=split,
        store=store,
        ann=ann,
        engine=engine,
        uri=uri,
        describe_with=describe_with,
        endpoint=endpoint,
        batch_size=batch_size,
        workers=workers,
        device=device,
        dtype=dtype,
    )


def search(
    folder: GalleryFolder,
    query: Annotated[
        list[str] | None, typer.Argument(help="What to look for, in any language; asked if left out.")
    ] = None,
    k: Annotated[int, typer.Option("-k", help="Items wanted.")] = 10,
    where: Filter = None,
    image: Annotated[Path | None, typer.Option(help="Search with a picture or a video.")] = None,
    queries: Annotated[Path | None, typer.Option(help="File with a query a line.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A line of JSON for each query.")] = False,
    sheet: Annotated[Path | None, typer.Option(help="Draw the answers into this picture.")] = None,
    model: Model = None,
    exact: Annotated[bool, typer.Option("--exact", help="Leave an approximate index aside.")] = False,
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> None:
    """Find what fits a text in any language, or looks like a picture."""
    from ..gallery.commands import run_search

    run_search(
        folder,
        " ".join(query) if query else None,
        k=k,
        where=where,
        image=image,
        queries=queries,
        as_json=as_json,
        sheet=sheet,
        model=model,
        exact=exact,
        device=device,
        dtype=dtype,
    )


gallery = typer.Typer(help="Change a gallery, or look after it.", no_args_is_help=True, rich_markup_mode=None)


@gallery.command()
def add(
    folder: GalleryFolder,
    source: Annotated[str, typer.Argument(help="File, folder, prepared data set, or a data set's name on the Hub.")],
    split: Split = None,
    model: Model = None,
    describe_with: DescribeWith = None,
    endpoint: Endpoint = None,
    batch_size: BatchSize = 32,
    workers: Workers = 4,
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> None:
    """Add what is new, replace what has changed, and leave the rest alone."""
    from ..gallery.commands import run_add

    run_add(
        folder,
        source,
        model,
        split,
        describe_with=describe_with,
        endpoint=endpoint,
        batch_size=batch_size,
        workers=workers,
        device=device,
        dtype=dtype,
    )


@gallery.command()
def remove(
    folder: GalleryFolder,
    names: Annotated[list[str] | None, typer.Argument(help="Ids, files, or folders with all below them.")] = None,
    where: Filter = None,
) -> None:
    """Take items out; their files stay."""
    from ..gallery.commands import run_remove

    run_remove(folder, names or [], where)


@gallery.command()
def info(folder: GalleryFolder) -> None:
    """Say what a gallery holds, and how."""
    from ..gallery.commands import run_info

    run_info(folder)


@gallery.command()
def check(
    folder: GalleryFolder,
    repair: Annotated[bool, typer.Option("--repair", help="Mend what can be mended.")] = False,
    files: Annotated[bool, typer.Option("--files", help="Read all files, not only their sizes and times.")] = False,
    model: Model = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> None:
    """Check that everything is there and as it was written; exit with 1 where it is not."""
    from ..gallery.commands import run_check

    if not run_check(folder, model, repair, files, device=device, dtype=dtype):
        raise typer.Exit(1)


@gallery.command()
def convert(
    folder: GalleryFolder, store: Store = None, ann: Ann = None, engine: EngineName = None, uri: Uri = None
) -> None:
    """Store a gallery otherwise: smaller, with an approximate index, or on a Milvus server."""
    from ..gallery.commands import run_convert

    run_convert(folder, store=store, ann=ann, engine=engine, uri=uri)
