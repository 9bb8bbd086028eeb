"""The commands `leccr index`, `search` and `gallery`."""

from pathlib import Path
from typing import Annotated

import typer

from processing.writable import check_writable

from ..gallery.options import AddOptions, IndexOptions, SearchOptions
from .options import DescriptionWeight, Device, Dtype, Exclude, Ocr, Processes, TrustRemoteCode, Workers, is_number

GalleryFolder = Annotated[Path, typer.Argument(metavar="GALLERY", help="Folder that `leccr index` wrote.")]
Source = Annotated[
    str, typer.Argument(help="Folder of photos and videos, a prepared data set, or a data set's name on the Hub.")
]
Split = Annotated[str | None, typer.Option(help="Split of a data set; all by default.")]
Model = Annotated[str | None, typer.Option(help="The gallery's model, if it was moved after indexing.")]
Store = Annotated[str | None, typer.Option(metavar="FORMAT", help="How views are stored: fp32, fp16 or int8.")]
Ann = Annotated[str | None, typer.Option(help="Approximate index: hnsw or ivfpq; exact search by default.")]
EngineName = Annotated[str | None, typer.Option("--engine", help="faiss, in the gallery's folder, or milvus.")]
Uri = Annotated[str | None, typer.Option(metavar="URL", help="Milvus server, such as http://localhost:19530.")]
DescribeWith = Annotated[
    str | None, typer.Option(metavar="MODEL", help="Multimodal model that describes undescribed items first.")
]
Endpoint = Annotated[str | None, typer.Option(metavar="URL", help="OpenAI-compatible server that runs that model.")]
BatchSize = Annotated[int, typer.Option(min=1, max=65536, help="Pictures per batch.")]
Frames = Annotated[bool, typer.Option("--frames", help="Encode animations (GIF ...) as videos, for models of videos.")]
Shots = Annotated[
    str | None,
    typer.Option(metavar="HOW", help="Divide long videos at their cuts (auto), every 10 seconds (10), or not (none)."),
]
Filter = Annotated[
    str | None,
    typer.Option(
        "--filter",
        "--where",
        metavar="CONDITION",
        help="Condition such as 'path~holiday and taken>=2024-06'; also kind, time, size, description, start ...",
    ),
]


def index(
    source: Source,
    model: Annotated[str, typer.Option(help="Folder or Hub name of a trained model, or of one such as SigLIP 2.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write; rerun the command to resume.")],
    split: Split = IndexOptions.split,
    store: Store = IndexOptions.store,
    ann: Ann = IndexOptions.ann,
    engine: EngineName = IndexOptions.engine,
    uri: Uri = IndexOptions.uri,
    describe_with: DescribeWith = IndexOptions.describe_with,
    endpoint: Endpoint = IndexOptions.endpoint,
    description_weight: DescriptionWeight = IndexOptions.description_weight,
    batch_size: BatchSize = IndexOptions.batch_size,
    workers: Workers = IndexOptions.workers,
    processes: Processes = IndexOptions.processes,
    frames: Frames = IndexOptions.frames,
    ocr: Ocr = IndexOptions.ocr,
    exclude: Exclude = None,
    shots: Shots = IndexOptions.shots,
    device: Device = IndexOptions.device,
    dtype: Dtype = IndexOptions.dtype,
    trust_remote_code: TrustRemoteCode = IndexOptions.trust_remote_code,
) -> None:
    """Build a gallery from photos and videos. Resumable."""
    check_writable(out, folder=True)
    need_models(model, describe_with if endpoint is None else None, source=source)

    from ..gallery.manage import run_index

    options = IndexOptions(
        split=split,
        store=store or IndexOptions.store,
        ann=ann,
        engine=engine or IndexOptions.engine,
        uri=uri,
        describe_with=describe_with,
        endpoint=endpoint,
        description_weight=description_weight,
        batch_size=batch_size,
        workers=workers,
        processes=processes,
        frames=frames,
        ocr=ocr,
        exclude=tuple(exclude or ()),
        shots=shots,
        device=device,
        dtype=dtype,
        trust_remote_code=trust_remote_code,
    )
    run_index(source, model, out, options)


def search(
    folder: GalleryFolder,
    query: Annotated[
        list[str] | None, typer.Argument(help="What to look for, in any language; prompts if omitted.")
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, max=1_000_000, help="Number of results.")] = 10,
    where: Filter = None,
    sort: Annotated[
        str | None, typer.Option(metavar="ORDER", help="taken or time, oldest first; -taken or -time, newest first.")
    ] = None,
    words: Annotated[
        float,
        typer.Option(metavar="WEIGHT", min=0, max=1, callback=is_number, help="Weight of words in texts and names."),
    ] = SearchOptions.words,
    min_confidence: Annotated[
        float | None,
        typer.Option(metavar="P", min=0, max=1, callback=is_number, help="Leave out answers less sure than this."),
    ] = None,
    all_moments: Annotated[
        bool, typer.Option("--all-moments", help="Answer with every shot of a long video, not only its best one.")
    ] = SearchOptions.all_moments,
    every: Annotated[bool, typer.Option("--all", help="Show near duplicates, too, and not only the best one.")] = False,
    diverse: Annotated[bool, typer.Option("--diverse", help="Choose answers that differ from each other.")] = False,
    rerank_with: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Score the first 50 answers again with a reranker such as BLIP-ITM."),
    ] = None,
    rerank_endpoint: Annotated[
        str | None, typer.Option(metavar="URL", help="OpenAI-compatible server that runs the reranker.")
    ] = SearchOptions.rerank_endpoint,
    image: Annotated[Path | None, typer.Option(help="Search with a picture or a video.")] = None,
    queries: Annotated[Path | None, typer.Option(help="Text file with one query per line.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON per query.")] = False,
    sheet: Annotated[Path | None, typer.Option(help="Save the answers to this image file.")] = None,
    model: Model = None,
    exact: Annotated[bool, typer.Option("--exact", help="Search exactly, ignoring the approximate index.")] = False,
    device: Device = "auto",
    dtype: Dtype = "auto",
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Find what fits a text in any language, or a picture.

    The score is the similarity of item and query; higher is better. The model divides what an item and its description
    show into a few parts (slots); "answered by" names the part that, together with the whole picture, fits best.

    Words of the query that occur in descriptions, file names, keywords or writing speak for an item, as much as --words
    says; "words in quotes" must occur.

    Without a query, each line that you type or pipe is one; ":help" lists the commands. --queries takes every line as a
    query.
    """
    need_model(folder, model)
    need_models(rerank_with if rerank_endpoint is None else None)

    from ..gallery.search import run_search

    run_search(
        folder,
        " ".join(query) if query else None,
        k=k,
        options=SearchOptions(
            where=where,
            all_moments=all_moments,
            folded=not (every or all_moments),
            diverse=diverse,
            sort=sort,
            words=words,
            rerank_with=rerank_with,
            rerank_endpoint=rerank_endpoint,
        ),
        min_confidence=min_confidence,
        image=image,
        queries=queries,
        as_json=as_json,
        sheet=sheet,
        model=model,
        exact=exact,
        device=device,
        dtype=dtype,
        trust_remote_code=trust_remote_code,
    )


def need_models(*models: str | None, source: str | None = None) -> None:
    """Check that what has the name of a repository is in the cache, or that the Hub can be reached."""
    from hub_card.names import is_repository

    from ..arguments import repository_of
    from ..hub.reach import need_from_hub

    need_from_hub(name for name in models if name and is_repository(repository_of(name)))
    if source is not None and is_repository(source):
        need_from_hub([source], "dataset")


def need_model(folder: Path, model: str | None) -> None:
    """Check that there is such a gallery, and its model, or another one, as `need_models` does."""
    from ..gallery.store.catalogue import Catalogue, read_state

    catalogue = Catalogue(folder)
    with catalogue.reading() as connection:
        state = read_state(connection, str(folder))
    catalogue.close()
    need_models(model or state.model)


gallery = typer.Typer(help="Manage a gallery.", no_args_is_help=True, rich_markup_mode=None)


@gallery.command()
def add(
    folder: GalleryFolder,
    source: Annotated[str, typer.Argument(help="File, folder, prepared data set, or a data set's name on the Hub.")],
    split: Split = AddOptions.split,
    model: Model = None,
    describe_with: DescribeWith = AddOptions.describe_with,
    endpoint: Endpoint = AddOptions.endpoint,
    description_weight: DescriptionWeight = AddOptions.description_weight,
    batch_size: BatchSize = AddOptions.batch_size,
    workers: Workers = AddOptions.workers,
    processes: Processes = AddOptions.processes,
    frames: Frames = AddOptions.frames,
    ocr: Ocr = AddOptions.ocr,
    exclude: Exclude = None,
    device: Device = AddOptions.device,
    dtype: Dtype = "auto",
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Add new items and replace changed ones. All others stay as they are."""
    need_model(folder, model)
    check_writable(folder, folder=True)
    need_models(describe_with if endpoint is None else None, source=source)

    from ..gallery.manage import run_add

    options = AddOptions(
        split=split,
        describe_with=describe_with,
        endpoint=endpoint,
        description_weight=description_weight,
        batch_size=batch_size,
        workers=workers,
        processes=processes,
        frames=frames,
        ocr=ocr,
        exclude=tuple(exclude or ()),
        device=device,
    )
    run_add(folder, source, model, options, dtype, trust_remote_code)


@gallery.command()
def remove(
    folder: GalleryFolder,
    names: Annotated[list[str] | None, typer.Argument(help="Ids, files, or folders with everything below.")] = None,
    where: Filter = None,
) -> None:
    """Remove items (the files are kept)."""
    check_writable(folder, folder=True)

    from ..gallery.manage import run_remove

    run_remove(folder, names or [], where)


@gallery.command()
def info(folder: GalleryFolder) -> None:
    """Show what a gallery contains and how it is stored."""
    from ..gallery.manage import run_info

    run_info(folder)


@gallery.command()
def check(
    folder: GalleryFolder,
    repair: Annotated[bool, typer.Option("--repair", help="Repair what can be repaired.")] = False,
    files: Annotated[bool, typer.Option("--files", help="Read all files, not only their sizes and times.")] = False,
    model: Model = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Check that a gallery is undamaged; exit with 1 if not."""
    if repair:
        check_writable(folder, folder=True)

    from ..gallery.manage import run_check

    if not run_check(folder, model, repair, files, device=device, dtype=dtype, trust_remote_code=trust_remote_code):
        raise typer.Exit(1)


@gallery.command()
def convert(
    folder: GalleryFolder, store: Store = None, ann: Ann = None, engine: EngineName = None, uri: Uri = None
) -> None:
    """Change how a gallery is stored. It can be smaller, have an approximate index, or be on a Milvus server."""
    check_writable(folder, folder=True)

    from ..gallery.manage import run_convert

    run_convert(folder, store=store, ann=ann, engine=engine, uri=uri)
