"""Commands around training: the quickstart, features, training itself, evaluation."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from processing.notes import is_main_process, note
from processing.writable import check_writable

from ..arguments import QUICKSTART_FILE, check_checkpoint, check_choice, check_data, check_new_folder, check_towers
from ..defaults import DECODING_WORKERS, EMBEDDING_BATCH, EVALUATION_BATCH, FEATURES_BATCH
from ..errors import UserError
from .lists import split_models, split_words
from .options import (
    SEEDS,
    DescriptionWeight,
    Device,
    Dtype,
    DualEncoder,
    Lora,
    Processes,
    Towers,
    TrustRemoteCode,
    WarmStart,
    Workers,
)
from .overrides import own_options, parse_overrides

Languages = Annotated[
    list[str] | None,
    typer.Option(
        "--languages",
        metavar="CODE,...",
        callback=split_words,
        help="Target languages, such as de,fr; by default all in the data.",
    ),
]
SkipBroken = Annotated[bool, typer.Option("--skip-broken", help="Skip undecodable files and report how many.")]
DataArgument = Annotated[str, typer.Argument(help="Folder that `leccr prepare` wrote, or scenes.")]


def train(
    context: typer.Context,
    recipe: Annotated[
        str, typer.Argument(help="Built-in recipe (see `leccr recipes`) or a YAML file, such as RUN/recipe.yaml.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder to write: new, or empty unless --resume.")],
    data: Annotated[
        str | None,
        typer.Option(help="Folder that `leccr prepare` wrote, or scenes; by default the recipe's, or scenes."),
    ] = None,
    towers: Towers = None,
    warm_start: WarmStart = None,
    dual_encoder: DualEncoder = None,
    lora: Lora = None,
    languages: Languages = None,
    seed: Annotated[
        int | None,
        typer.Option(**SEEDS, help="Seed of the weights, the order of the data and dropout; by default 0."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume from the last checkpoint in --out.")] = False,
    streaming: Annotated[
        bool,
        typer.Option(
            "--streaming",
            help="Read training rows from their files as they are needed; --data may be hf://datasets/ORG/NAME.",
        ),
    ] = False,
    shuffle_buffer: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=10**7,
            help="With --streaming, rows that a process shuffles together; by default 1000.",
        ),
    ] = None,
    skip_broken: SkipBroken = False,
    plots: Annotated[
        bool, typer.Option("--plots", help="Draw the loss, its terms and the validation into OUT/plots.")
    ] = False,
    device: Device = "auto",
) -> None:
    """Train a retriever, or the teacher of one, by a recipe."""
    _check_run(recipe, out, resume, data, towers, streaming)
    overrides = parse_overrides(context.args, own_options(context))

    from ..recipes import load_recipe, override_training

    adapted = override_training(load_recipe(recipe, towers, dual_encoder), overrides)
    need_towers(recipe, towers, dual_encoder, warm_start)

    from ..training.device import device_settings

    adapted = override_training(adapted, device_settings(device))
    chosen: dict[str, Any] = {
        "data": data,
        "warm_start": warm_start,
        "lora": lora,
        "languages": languages,
        "seed": seed,
        "shuffle_buffer": shuffle_buffer,
        "streaming": streaming or None,
    }
    chosen = {name: value for name, value in chosen.items() if value is not None}
    adapted = dataclasses.replace(adapted, **chosen, skip_broken=skip_broken or adapted.skip_broken)

    from ..training.train import run_training

    run_training(adapted, output=out, resume=resume, plots=plots)


def _check_run(recipe: str, out: Path, resume: bool, data: str | None, towers: str | None, streaming: bool) -> None:
    """Check what can be checked of a run without reading its recipe."""
    if recipe.startswith("-"):
        raise UserError(f"The recipe comes first: leccr train RECIPE {recipe} ...")
    if resume:
        check_writable(out, folder=True)
    elif is_main_process():
        # It may have begun to write there before other processes look.
        check_new_folder(out, "add --resume to resume the run in it")
    if data is not None and "://" in data and not streaming:
        raise UserError(f"{data} is an address, whose rows can be streamed: add --streaming.")
    if data is not None and not streaming:
        check_data(data, scenes=True)
    check_towers(towers)


def need_towers(
    recipe: str, towers: str | None, dual_encoder: str | None = None, warm_start: str | None = None
) -> None:
    """Check that what a recipe starts from is in the cache or can be downloaded.

    Raises:
        UserError: If not, or there is no such recipe.
    """
    from ..hub.reach import need_from_hub
    from ..recipes import towers_without_download
    from ..recipes.load import names_to_load

    names = [*names_to_load(recipe, towers, dual_encoder), warm_start]
    free = " or ".join(f"--towers {name}" for name in towers_without_download())
    need_from_hub(names, alternative=f"{free} needs no download.")


def evaluate(
    models: Annotated[
        str,
        typer.Argument(metavar="MODEL,...", help="Folders or Hub names of models that embed texts and pictures."),
    ],
    data: DataArgument,
    languages: Languages = None,
    split: Annotated[str, typer.Option(help="Split to evaluate.")] = "validation",
    out: Annotated[Path | None, typer.Option("--out", help="JSON file for the figures and their protocol.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, max=65536, help="Images or texts per batch.")] = EVALUATION_BATCH,
    descriptions: Annotated[bool, typer.Option(help="Use the images' descriptions, or only the images.")] = True,
    description_weight: DescriptionWeight = None,
    skip_broken: SkipBroken = False,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Write into the model's folder how sure its answers are.")
    ] = False,
    plots: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for plots: hit rates, ranks, similarities, worst queries."),
    ] = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Measure how well models retrieve in each language.

    That is text-to-image and image-to-text retrieval, or the retrieval of translations by a text-only model. Several
    models, with commas between, are compared in one table.
    """
    checkpoints = split_models(models)
    for checkpoint in checkpoints:
        check_checkpoint(checkpoint)
    check_data(data, scenes=True)
    if out is not None:
        check_writable(out)
    if plots is not None:
        check_writable(plots, folder=True)

    from ..hub.reach import need_from_hub

    need_from_hub(checkpoints)

    from ..evaluation.evaluate import EvaluationOptions, run_evaluation

    options = EvaluationOptions(
        split, languages, descriptions, description_weight, batch_size, skip_broken, device, dtype, trust_remote_code
    )
    run_evaluation(checkpoints, data, options, output=out, plots=plots, calibrate=calibrate)


def quickstart(
    out: Annotated[Path, typer.Option("--out", help="Folder to write.")] = Path("quickstart"),
    seed: Annotated[int, typer.Option(**SEEDS, help="Seed of the data and the training.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start over if --out holds a quickstart.")] = False,
    device: Device = "auto",
) -> None:
    """Train three recipes on built-in data and compare them. Queries in six languages are answered, too."""
    if (out / QUICKSTART_FILE).is_file():
        check_writable(out, folder=True)
    else:
        check_new_folder(out)

    from ..quickstart import run_quickstart

    run_quickstart(output=out, seed=seed, overwrite=overwrite, device=device)


def features(
    data: Annotated[str, typer.Argument(help="Folder that `leccr prepare` wrote.")],
    towers: Annotated[str | None, typer.Option(help="Built-in towers or a YAML file with the vision tower.")] = None,
    recipe: Annotated[
        str | None,
        typer.Option(help="Recipe whose towers to use; by default dual-encoder, and with --texts leccr."),
    ] = None,
    texts: Annotated[
        bool,
        typer.Option("--texts", help="Features of all captions and descriptions by the frozen text tower or layers."),
    ] = False,
    store: Annotated[str, typer.Option(metavar="FORMAT", help="How features are stored: fp16 or fp32.")] = "fp16",
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65536,
            help=f"Pictures, frames or texts per batch; by default {FEATURES_BATCH} or {EMBEDDING_BATCH}.",
        ),
    ] = None,
    copies: Annotated[
        int,
        typer.Option(
            min=0, max=1000, help="Randomly cropped copies of each training picture, for training to draw from."
        ),
    ] = 0,
    workers: Workers = DECODING_WORKERS,
    processes: Processes = False,
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> None:
    """Compute a frozen tower's features of the data once."""
    check_data(data)
    check_writable(data, folder=True)
    check_choice("--store", store, ("fp16", "fp32"))
    check_towers(towers)
    if texts and copies:
        raise UserError(f"--copies {copies} is for pictures; leave it out, or --texts.")
    recipe = recipe or ("leccr" if texts else "dual-encoder")
    need_towers(recipe, towers)

    from ..recipes import load_recipe

    chosen = load_recipe(recipe, towers)
    if texts:
        from ..training.text_features import run_text_features

        path = run_text_features(data, chosen, store, batch_size or EMBEDDING_BATCH, device, dtype)
        note(f"The texts are in {path}; `leccr train` uses them instead of the frozen layers of the text tower.")
        return

    from ..training.features import run_features

    size = batch_size or FEATURES_BATCH
    path = run_features(data, chosen, store, size, copies, device, dtype, workers, processes)
    note(f"The features are in {path}; `leccr train` uses them instead of the pictures.")


def embed_captions(
    data: Annotated[str, typer.Argument(help="Folder that `leccr prepare` wrote.")],
    model: Annotated[
        str, typer.Option(metavar="TEACHER", help="Folder or Hub name of a model that embeds texts of all languages.")
    ],
    batch_size: Annotated[int, typer.Option(min=1, max=65536, help="Captions per batch.")] = EMBEDDING_BATCH,
    device: Device = "auto",
    dtype: Dtype = "auto",
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Embed all captions with a teacher. cl2cm and leccr-cl2cm learn from what is written next to the data."""
    check_data(data)
    check_writable(data, folder=True)
    check_checkpoint(model, bare=True)

    from ..hub.reach import need_from_hub

    need_from_hub([model])

    from ..training.embed_captions import run_embedding

    path = run_embedding(data, model, batch_size, device, dtype, trust_remote_code)
    note(f"The embeddings are in {path}; `leccr train cl2cm` and `leccr train leccr-cl2cm` learn from them.")
