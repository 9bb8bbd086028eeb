"""The command `leccr prepare`."""

from pathlib import Path
from typing import Annotated

import typer

from ..errors import UserError


def prepare(
    name: Annotated[
        str,
        typer.Argument(
            help="flickr8k-cn, multi30k, five-languages, mscoco, vatex, msrvtt-cn, nrccr, folder or scenes."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder to write: new, or empty.")],
    root: Annotated[
        Path | None, typer.Option(help="Folder with the data set's own files, as they are published.")
    ] = None,
    embed_images: Annotated[
        bool, typer.Option("--embed-images/--reference-images", help="Copy the images, or refer to them by path.")
    ] = True,
    languages: Annotated[
        list[str] | None, typer.Option(metavar="CODE ...", help="Target languages, such as de fr.")
    ] = None,
    translation: Annotated[
        str | None, typer.Option(metavar="SYSTEM,...", help="flickr8k-cn, five-languages: baidu, google or both.")
    ] = None,
    task: Annotated[int | None, typer.Option(help="multi30k, nrccr: 1 (one caption) or 2 (five).")] = None,
    reserved_captions: Annotated[
        str | None, typer.Option(metavar="NUMBER,...", help="English captions, from 0, to use as the description.")
    ] = None,
    source_language: Annotated[
        str | None, typer.Option(help="folder: language of the column caption; en if not given.")
    ] = None,
    shares: Annotated[
        str | None, typer.Option(metavar="N,N,N", help="folder: parts for train, validation, test, such as 80,10,10.")
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the images, if not in --root.")] = None,
    videos: Annotated[Path | None, typer.Option(help="Folder of the videos, if not in --root.")] = None,
    features: Annotated[
        str | None, typer.Option(help="Folder of ready-made features, where there are several.")
    ] = None,
    descriptions: Annotated[Path | None, typer.Option(help="nrccr: folder of generated descriptions.")] = None,
    machine_only: Annotated[
        bool, typer.Option("--machine-only", help="Train without captions that people wrote in target languages.")
    ] = False,
    disjoint_from: Annotated[
        list[Path] | None, typer.Option(help="Prepared data that may not share images with this; can be repeated.")
    ] = None,
    allow_missing: Annotated[bool, typer.Option("--allow-missing", help="Leave out rows without their image.")] = False,
    allow_overlap: Annotated[bool, typer.Option("--allow-overlap", help="Let splits share images.")] = False,
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Leave out images and videos that cannot be decoded.")
    ] = False,
) -> None:
    """Turn a benchmark's files, or your own pictures, into a data set that `leccr train` reads."""
    options = {
        "languages": languages or None,
        "translation": _words(translation),
        "task": task,
        "reserved_captions": _numbers("--reserved-captions", reserved_captions),
        "source_language": source_language,
        "shares": _shares(shares),
        "images": images,
        "videos": videos,
        "features": features,
        "descriptions": descriptions,
    }
    from ..data.prepare import run_preparation

    run_preparation(
        name,
        root,
        output=out,
        embed_images=embed_images,
        allow_missing=allow_missing,
        allow_overlap=allow_overlap,
        skip_broken=skip_broken,
        machine_only=machine_only,
        disjoint_from=disjoint_from or (),
        **options,
    )


def _words(value: str | None) -> list[str] | None:
    return None if value is None else [word.strip() for word in value.split(",")]


def _numbers(option: str, value: str | None) -> list[int] | None:
    words = _words(value)
    if words is None:
        return None
    if not all(word.isdecimal() for word in words):
        raise UserError(f"{option} takes whole numbers with commas between, such as 3,4, and not {value!r}.")
    return [int(word) for word in words]


def _shares(value: str | None) -> list[float] | None:
    numbers = _numbers("--shares", value)
    if numbers is None:
        return None
    if len(numbers) != 3 or not sum(numbers):
        raise UserError(f"--shares takes three numbers, for train, validation and test, and not {value!r}.")
    return [number / sum(numbers) for number in numbers]
