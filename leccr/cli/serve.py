"""The command `leccr serve`."""

import os
import re
import sys
from typing import Annotated

import typer

from processing.notes import note

from .gallery import GalleryFolder, Model, need_model
from .lists import split_words
from .options import Device, Dtype, TrustRemoteCode

KEY_VARIABLE = "LECCR_SERVER_KEY"


def _origins(values: list[str] | None) -> list[str] | None:
    """Return the origins of pages, which browsers write without a path."""
    origins = split_words(values)
    for origin in origins or ():
        if origin != "*" and not re.fullmatch(r"https?://[^/\s]+", origin):
            raise typer.BadParameter(f"write pages as https://example.org, without a path, or * for all; not {origin}.")
    return origins


def serve(
    folder: GalleryFolder,
    host: Annotated[str, typer.Option(help="Address to serve on; 0.0.0.0 is all of this machine's.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to serve on; 0 takes a free one.")] = 8000,
    cors: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGIN",
            callback=_origins,
            help="Pages that may ask from browsers, such as https://example.org.",
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, max=65536, help="Most texts or pictures encoded together.")] = 64,
    max_waiting: Annotated[int, typer.Option(min=1, max=65536, help="Most requests at a time; others get 503.")] = 256,
    max_mb: Annotated[int, typer.Option(min=1, max=1024, help="Most megabytes of a request.")] = 16,
    timeout: Annotated[int, typer.Option(min=1, max=3600, help="Seconds after which a request is given up.")] = 60,
    model: Model = None,
    exact: Annotated[bool, typer.Option("--exact", help="Search exactly, ignoring the approximate index.")] = False,
    device: Device = "auto",
    dtype: Dtype = "auto",
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Serve a gallery and its model to programs, over HTTP.

    /v1/embeddings answers clients of OpenAI, /search and /items/NUMBER/thumbnail give answers and their pictures,
    /healthz and /metrics are for monitors, and /docs describes it all. LECCR_SERVER_KEY is the key that clients need.
    """
    need_model(folder, model)
    # Importing what serves takes seconds.
    note("Starting the server …", sys.stderr)

    from ..serve import run_serve
    from ..serve.run import LOCAL, LOCAL_HOSTS
    from ..serve.settings import MEGABYTE, Settings

    settings = Settings(
        key=os.environ.get(KEY_VARIABLE, "").strip() or None,
        origins=tuple(cors or ()),
        # A page from elsewhere must not reach a server of this machine by a name that leads here.
        hosts=LOCAL_HOSTS if host in LOCAL else (),
        batch_size=batch_size,
        most_waiting=max_waiting,
        most_bytes=max_mb * MEGABYTE,
        seconds=timeout,
    )
    run_serve(
        folder,
        host,
        port,
        settings,
        model,
        exact,
        device=device,
        dtype=dtype,
        trust_remote_code=trust_remote_code,
    )
