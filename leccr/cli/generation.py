"""The commands `leccr describe` and `leccr translate`."""

from pathlib import Path
from typing import Annotated

import typer

from .options import Device, Dtype
from .words import words_command

TranslateCommand = words_command("--to")


def _show_languages(wanted: bool) -> None:
    if not wanted:
        return
    from processing.generation.language_codes import LANGUAGES
    from processing.languages import language_name

    typer.echo("code  language            NLLB-200")
    for code, language in LANGUAGES.items():
        typer.echo(f"{code:<5} {language_name(code):<19} {language.nllb}")
    raise typer.Exit


Data = Annotated[str, typer.Argument(help="Folder that `leccr prepare` wrote.")]
Endpoint = Annotated[
    str | None,
    typer.Option(help="OpenAI-compatible server that runs the model, such as http://localhost:8000/v1."),
]
Output = Annotated[
    Path | None, typer.Option("--out", help="Folder for a copy of the data; by default DATA itself is filled in.")
]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of the model on the Hub.")]
Seed = Annotated[int, typer.Option(help="Seed of drawn answers.")]
Requests = Annotated[int, typer.Option(min=1, help="Requests at once to the endpoint.")]
Timeout = Annotated[float, typer.Option(min=1, help="Seconds to wait for an answer of the endpoint.")]
KeyVariable = Annotated[str, typer.Option("--key-env", help="Environment variable with the endpoint's key.")]
Restart = Annotated[bool, typer.Option("--restart", help="Discard what earlier runs of this command made.")]


def describe(
    data: Data,
    model: Annotated[str, typer.Option(help="Folder or Hub name of the model, or its name at the endpoint.")],
    endpoint: Endpoint = None,
    out: Output = None,
    prompts: Annotated[str, typer.Option(help="views (four questions), single (one), or a YAML file.")] = "views",
    revision: Revision = None,
    frames: Annotated[int, typer.Option(min=1, help="Most frames of a video to show the model.")] = 8,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures or videos at once.")] = 8,
    dtype: Dtype = "auto",
    device: Device = "auto",
    temperature: Annotated[float, typer.Option(min=0, help="0 takes the most probable words, more draws them.")] = 0.0,
    seed: Seed = 0,
    requests: Requests = 16,
    timeout: Timeout = 120.0,
    key_env: KeyVariable = "LECCR_API_KEY",
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Count undecodable images and videos and go on.")
    ] = False,
    restart: Restart = False,
) -> None:
    """Let a multimodal model describe every picture or video. Can be stopped, and goes on when started again."""
    from ..data.describe import run_description

    run_description(
        data,
        model=model,
        endpoint=endpoint,
        output=out,
        prompts=prompts,
        revision=revision,
        num_frames=frames,
        batch_size=batch_size,
        dtype=dtype,
        device=device,
        temperature=temperature,
        seed=seed,
        requests=requests,
        timeout=timeout,
        key_variable=key_env,
        skip_broken=skip_broken,
        restart=restart,
    )


def translate(
    data: Data,
    to: Annotated[list[str], typer.Option("--to", metavar="CODE ...", help="Languages, such as de fr cs zh ja.")],
    model: Annotated[
        str,
        typer.Option(help="NLLB-200, M2M-100, MADLAD-400 or Marian: folder, Hub name, or its name at the endpoint."),
    ],
    endpoint: Endpoint = None,
    out: Output = None,
    system: Annotated[str | None, typer.Option(help="Name of the captions' origin; by default the model's.")] = None,
    revision: Revision = None,
    back_translate: Annotated[
        bool, typer.Option("--back-translate", help="Weigh each caption by its back-translation's chrF / 100.")
    ] = False,
    back_model: Annotated[str | None, typer.Option(help="Model that translates back, if not the same.")] = None,
    min_weight: Annotated[float, typer.Option(min=0, max=1, help="Leave out captions with a smaller weight.")] = 0.0,
    batch_size: Annotated[int, typer.Option(min=1, help="Captions at once.")] = 32,
    dtype: Dtype = "auto",
    device: Device = "auto",
    beams: Annotated[int, typer.Option(min=1, help="Width of the beam search.")] = 4,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Tokens of the longest translation.")] = 128,
    seed: Seed = 0,
    requests: Requests = 16,
    timeout: Timeout = 120.0,
    key_env: KeyVariable = "LECCR_API_KEY",
    restart: Restart = False,
    list_languages: Annotated[
        bool, typer.Option("--list", is_eager=True, callback=_show_languages, help="List the languages and exit.")
    ] = False,
) -> None:
    """Translate the source captions. Can be stopped, and goes on when started again."""
    from ..data.translate import run_translation

    run_translation(
        data,
        targets=to,
        model=model,
        endpoint=endpoint,
        output=out,
        system=system,
        revision=revision,
        back_translate=back_translate,
        back_model=back_model,
        min_weight=min_weight,
        batch_size=batch_size,
        dtype=dtype,
        device=device,
        beams=beams,
        max_new_tokens=max_new_tokens,
        seed=seed,
        requests=requests,
        timeout=timeout,
        key_variable=key_env,
        restart=restart,
    )
