"""Commands to publish, convert and export models."""

from pathlib import Path
from typing import Annotated

import typer

from processing.notes import note
from processing.writable import check_writable

from ..arguments import (
    WRITTEN_BY_US,
    check_checkpoint,
    check_choice,
    check_file,
    check_folder,
    check_new_folder,
)
from .lists import split_paths

Results = Annotated[
    list[Path] | None,
    typer.Option(metavar="FILE,...", help="What `leccr evaluate --out` wrote, for the card."),
]
License = Annotated[str | None, typer.Option("--license", help="Licence of the weights, such as apache-2.0.")]
DatasetName = Annotated[
    str | None,
    typer.Option("--dataset", metavar="ORG/NAME", help="The data on the Hub; adds records for its leaderboard."),
]
Data = Annotated[Path | None, typer.Option(help="Folder of the training data, so that the card can describe it.")]


def push(
    folder: Annotated[Path, typer.Argument(help="Folder that `leccr train`, `prepare` or `index` wrote.")],
    repository: Annotated[str, typer.Argument(metavar="ORG/NAME", help="Name on the Hub.")],
    private: Annotated[bool, typer.Option("--private", help="Create a private repository.")] = False,
    revision: Annotated[str | None, typer.Option(metavar="BRANCH", help="Branch to push to (default: main).")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be uploaded, without uploading.")] = False,
    kind: Annotated[str | None, typer.Option(help="model or dataset; by default what the folder contains.")] = None,
    results: Results = None,
    license: License = None,
    dataset: DatasetName = None,
    data: Data = None,
    endpoint_handler: Annotated[
        bool, typer.Option("--endpoint-handler", help="Add a handler.py, with which Inference Endpoints run the model.")
    ] = False,
) -> None:
    """Publish a model, data or a gallery on the Hub. It gets a card; later runs update both."""
    check_folder(folder, WRITTEN_BY_US)
    check_choice("--kind", kind, ("model", "dataset"))
    chosen = split_paths(results) or []
    for file in chosen:
        check_file("--results", file)
    if not dry_run:
        from ..hub.reach import need_hub

        need_hub("Publishing")

    from ..hub.push import run_push

    said = run_push(
        folder,
        repository,
        kind=kind,
        private=private,
        revision=revision,
        dry_run=dry_run,
        results=chosen,
        license=license,
        dataset=dataset,
        data=data,
        endpoint_handler=endpoint_handler,
    )
    typer.echo(said if dry_run else f"Published: {said}")


def card(
    checkpoint: Annotated[Path, typer.Argument(help="Folder that `leccr train` wrote.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="File to write; by default README.md in the folder.")
    ] = None,
    name: Annotated[str | None, typer.Option(metavar="ORG/NAME", help="Name on the Hub, for the example code.")] = None,
    results: Results = None,
    license: License = None,
    dataset: DatasetName = None,
    data: Data = None,
) -> None:
    """Write a trained model's card. Text of your own outside the marked sections is kept."""
    check_folder(checkpoint, "name one that `leccr train` wrote")
    chosen = split_paths(results) or []
    for file in chosen:
        check_file("--results", file)

    check_writable(out or checkpoint / "README.md")

    from ..hub.push import run_card

    path = run_card(checkpoint, out, name, results=chosen, license=license, dataset=dataset, data=data)
    note(f"The card is in {path}.")


def convert_official(
    checkpoint: Annotated[Path, typer.Argument(help="checkpoint_best.pth of the LECCR release, image or video.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write: new or empty.")],
    tokenizer: Annotated[
        str, typer.Option(help="Name or folder of the tokenizer that it was trained with.")
    ] = "google-bert/bert-base-multilingual-cased",
    text_config: Annotated[
        str | None,
        typer.Option(help="Name, folder or config.json of the text encoder, if its sizes are not those of a BERT."),
    ] = None,
) -> None:
    """Convert a checkpoint of the authors' LECCR release. The other commands can use the result."""
    check_file("CHECKPOINT", checkpoint)
    check_new_folder(out)

    from ..hub.reach import need_from_hub

    need_from_hub([tokenizer, text_config])

    from ..models.convert_official import convert_official as convert

    model = convert(checkpoint, out, tokenizer, text_config)
    kind = "videos' features" if model.config.vision_config is None else "images"
    note(f"The model of {kind} is in {out}; measure it with: leccr evaluate {out} DATA")


def export(
    checkpoint: Annotated[str, typer.Argument(help="Folder or Hub name of a trained model.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write: new or empty.")],
    format: Annotated[str, typer.Option(help="onnx or torch-export.")] = "onnx",
    int8: Annotated[bool, typer.Option("--int8", help="Write the text tower also as int8, for CPUs.")] = False,
    picture_size: Annotated[
        int | None,
        typer.Option(min=1, max=8192, metavar="PIXELS", help="Input size in pixels, if the processor does not resize."),
    ] = None,
) -> None:
    """Export a model as ONNX or torch.export programs. They run without this package."""
    check_choice("--format", format, ("onnx", "torch-export"))
    check_checkpoint(checkpoint)
    check_new_folder(out)

    from ..hub.reach import need_from_hub

    need_from_hub([checkpoint])

    from ..models.export import run_export

    run_export(checkpoint, out, format, int8, picture_size)
    note(f"How to use them is in {out / 'README.md'}.")
