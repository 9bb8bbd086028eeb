"""Pictures by their addresses: small ones for the grid, large ones for the screen, and the files to download."""

import base64
import secrets
import shutil
import tempfile
import threading
import zipfile
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from space_errors import SpaceError
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from space_search import Original, Searcher
    from space_setup import Setup

SMALL_SIDE, LARGE_SIDE = 400, 1600
MOST_DOWNLOADED = 200
MOST_BYTES_DOWNLOADED = 2 * 2**30
# Browsers keep pictures by their address, and the next gallery on this port has other pictures of the same ids.
VERSION = secrets.token_hex(4)
KEPT = {"Cache-Control": "private, max-age=86400", "X-Content-Type-Options": "nosniff"}
VIDEO_TYPES = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/mp4",
    ".webm": "video/webm",
    ".mkv": "video/webm",
    ".ogv": "video/ogg",
}
# A large picture may take hundreds of megabytes while it is decoded.
DECODING = threading.BoundedSemaphore(2)


def address(id: str, form: str) -> str:
    """Return the address of a picture that every visitor may see, relative to the page.

    Args:
        id: Of the picture.
        form: `small`, `large`, `file` to download, or `video` to play.
    """
    return f"pictures/{quote(id, safe='')}/{form}?v={VERSION}"


def data_uri(jpeg: bytes) -> str:
    """Return a JPEG as an address that holds it: the picture is part of the page, and nobody else can ask for it."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def picture_routes(setup: "Setup") -> list[Route]:
    """Return what answers to the addresses. Visitors name pictures by their ids, never files by their paths."""
    small: Callable[[Any, str], bytes] = lru_cache(1000)(_small)

    def picture(request: Request) -> Response:
        """Answer with one picture, or its file."""
        id, form = request.path_params["id"], request.path_params["form"]
        answers: dict[str, Callable[[], Response]] = {
            "small": lambda: Response(small(setup.ready.searcher, id), media_type="image/jpeg", headers=KEPT),
            "large": lambda: Response(_large(setup.ready.searcher, id), media_type="image/jpeg", headers=KEPT),
            "file": lambda: _file(setup.ready.searcher.original(id)),
            "video": lambda: _video(setup.ready.searcher.original(id)),
        }
        return _answer(answers.get(form, _nothing))

    def selection(request: Request) -> Response:
        """Answer with the files of several pictures in one archive."""
        return _answer(lambda: _archive(setup.ready.searcher, request.query_params.get("ids", "")))

    return [Route("/pictures/{id}/{form}", picture), Route("/selection.zip", selection)]


def _answer(ask: Callable[[], Response]) -> Response:
    try:
        return ask()
    except SpaceError as error:
        return PlainTextResponse(str(error), 404)


def _nothing() -> Response:
    raise SpaceError("There is no such picture.")


def _small(searcher: "Searcher", id: str) -> bytes:
    with DECODING:
        return searcher.small(id)


def _large(searcher: "Searcher", id: str) -> bytes:
    with DECODING:
        return searcher.large(id)


def _file(original: "Original | None") -> Response:
    """Offer a file to download; it is never shown in the page, as it might be anything."""
    if original is None:
        raise SpaceError("The picture's file no longer exists.")
    if isinstance(original.source, bytes):
        headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(original.name)}", **KEPT}
        return Response(original.source, media_type="application/octet-stream", headers=headers)
    return FileResponse(original.source, media_type="application/octet-stream", filename=original.name, headers=KEPT)


def _video(original: "Original | None") -> Response:
    kind = None if original is None else VIDEO_TYPES.get(PurePath(original.name).suffix.lower())
    if original is None or kind is None or isinstance(original.source, bytes):
        raise SpaceError("The video cannot be played in a browser; download it.")
    return FileResponse(original.source, media_type=kind, headers=KEPT)


def _archive(searcher: "Searcher", ids: str) -> Response:
    chosen = list(dict.fromkeys(filter(None, ids.split(","))))
    if not chosen or len(chosen) > MOST_DOWNLOADED:
        raise SpaceError(f"Choose from 1 to {MOST_DOWNLOADED} pictures to download.")
    stream: Any = tempfile.SpooledTemporaryFile(max_size=2**24)  # noqa: SIM115 (closed once it is sent)
    names: set[str] = set()
    # Pictures and videos are compressed already.
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for id in chosen:
            # What has vanished is left out; the others are wanted all the same.
            with suppress(SpaceError, OSError):
                _pack(archive, searcher.original(id), names)
            if stream.tell() > MOST_BYTES_DOWNLOADED:
                raise SpaceError("These pictures have more than 2 GB together; choose fewer.")
    if not names:
        raise SpaceError("None of these files exists any longer.")
    stream.seek(0)
    headers = {"Content-Disposition": "attachment; filename=pictures.zip", "Cache-Control": "no-store"}
    parts = iter(lambda: stream.read(2**16), b"")
    sent = BackgroundTask(stream.close)
    return StreamingResponse(parts, media_type="application/zip", headers=headers, background=sent)


def _pack(archive: zipfile.ZipFile, original: "Original | None", names: set[str]) -> None:
    if original is None:
        return
    name = _free_name(original.name, names)
    if isinstance(original.source, bytes):
        archive.writestr(name, original.source)
    else:
        # Not the file's own time, as archives hold none before 1980.
        with original.source.open("rb") as source, archive.open(name, "w", force_zip64=True) as packed:
            shutil.copyfileobj(source, packed)
    names.add(name)


def _free_name(name: str, taken: set[str]) -> str:
    """Return a name that no other file in the archive has."""
    path = PurePath(name)
    free, number = name, 1
    while free in taken:
        number += 1
        free = f"{path.stem} ({number}){path.suffix}"
    return free
