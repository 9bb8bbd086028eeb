"""The command `leccr demo`."""

import sys
from typing import Annotated

import typer

from processing.notes import note

from ..arguments import check_checkpoint, check_gallery_to_show
from .options import Device, Dtype, TrustRemoteCode


def demo(
    gallery: Annotated[
        str | None, typer.Option(help="Folder that `leccr index` wrote, or a folder of pictures; by default Scenes.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Folder or Hub name of a model; by default one is trained, once."),
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to serve on.")] = 7860,
    share: Annotated[bool, typer.Option("--share", help="Create a public link through Gradio's server.")] = False,
    new: Annotated[
        bool, typer.Option("--new", help="Choose a folder of photos in the page, and index it into --gallery first.")
    ] = False,
    training_scenes: Annotated[
        int,
        typer.Option(
            min=50, max=100_000, help="Scenes to train the built-in model on; fewer is faster but less accurate."
        ),
    ] = 2000,
    open_browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
    device: Device = "auto",
    dtype: Dtype = "auto",
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Search your gallery, or built-in Scenes, in the browser."""
    if gallery is not None and not new:
        check_gallery_to_show(gallery)
    if model is not None:
        check_checkpoint(model)
    # Importing what serves the page takes seconds.
    note("Starting the page …", sys.stderr)

    from ..hub.reach import need_from_hub

    need_from_hub([None if new else gallery], "dataset")
    need_from_hub([model], alternative="Without --model, one is trained and nothing is downloaded.")

    from ..demo import run_demo

    run_demo(
        gallery,
        model,
        training_scenes=training_scenes,
        server_port=port,
        share=share,
        inbrowser=open_browser,
        device=device,
        dtype=dtype,
        trust_remote_code=trust_remote_code,
        new=new,
    )
