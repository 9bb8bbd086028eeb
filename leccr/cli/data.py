"""The commands `leccr prepare`, `describe` and `translate`: they make and fill data sets."""

from pathlib import Path
from typing import Annotated

import typer

from processing.writable import check_writable

from ..arguments import check_checkpoint, check_choice, check_data, check_new_folder
from ..data.options import DescribeOptions, PrepareOptions, TranslateOptions
from ..errors import UserError
from .lists import split_numbers, split_paths, split_shares, split_words
from .options import SEEDS, Device, Dtype, TrustRemoteCode, is_number

READER_NAMES = (
    "flickr8k-cn",
    "multi30k",
    "five-languages",
    "mscoco",
    "vatex",
    "msrvtt-cn",
    "nrccr",
    "folder",
    "scenes",
)

Data = Annotated[str, typer.Argument(help="Folder that `leccr prepare` wrote.")]
Endpoint = Annotated[
    str | None,
    typer.Option(metavar="URL", help="OpenAI-compatible server that runs the model, such as http://localhost:8000/v1."),
]
Output = Annotated[
    Path | None, typer.Option("--out", help="Folder for a copy of the data; by default DATA itself is filled in.")
]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of the model on the Hub.")]
Seed = Annotated[int, typer.Option(**SEEDS, help="Random seed for sampling.")]
Requests = Annotated[int, typer.Option(min=1, max=1024, help="Concurrent requests to the endpoint.")]
Timeout = Annotated[
    float,
    typer.Option(min=1, max=86400, callback=is_number, help="Seconds to wait for an answer from the endpoint."),
]
KeyVariable = Annotated[str, typer.Option("--key-env", help="Environment variable that holds the endpoint's key.")]
Restart = Annotated[bool, typer.Option("--restart", help="Discard the results of earlier runs.")]


def prepare(
    name: Annotated[str, typer.Argument(help=f"{', '.join(READER_NAMES[:-1])} or {READER_NAMES[-1]}.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write: new, or empty.")],
    root: Annotated[
        Path | None, typer.Option(help="Folder with the original files of the data set.")
    ] = PrepareOptions.root,
    embed_images: Annotated[
        bool, typer.Option("--embed-images/--reference-images", help="Copy the images, or refer to them by path.")
    ] = PrepareOptions.embed_images,
    languages: Annotated[
        list[str] | None, typer.Option(metavar="CODE,...", help="Target languages, such as de,fr.")
    ] = None,
    translation: Annotated[
        list[str] | None,
        typer.Option(metavar="SYSTEM,...", help="flickr8k-cn, five-languages: baidu, google or baidu,google."),
    ] = None,
    task: Annotated[
        int | None, typer.Option(min=1, max=2, help="multi30k, nrccr: 1 (one caption) or 2 (five).")
    ] = None,
    reserved_captions: Annotated[
        list[str] | None,
        typer.Option(metavar="INDEX,...", help="Indices (from 0) of English captions to use as the description."),
    ] = None,
    source_language: Annotated[
        str | None, typer.Option(help="folder: language of the column caption; en by default.")
    ] = None,
    shares: Annotated[
        list[str] | None,
        typer.Option(metavar="N,N,N", help="folder: proportions of train, validation, test, such as 80,10,10."),
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the images, if not in --root.")] = None,
    videos: Annotated[Path | None, typer.Option(help="Folder of the videos, if not in --root.")] = None,
    features: Annotated[str | None, typer.Option(help="Folder of precomputed features, if there are several.")] = None,
    descriptions: Annotated[Path | None, typer.Option(help="nrccr: folder of generated descriptions.")] = None,
    machine_only: Annotated[
        bool, typer.Option("--machine-only", help="Exclude human-written target captions from training.")
    ] = PrepareOptions.machine_only,
    disjoint_from: Annotated[
        list[Path] | None,
        typer.Option(metavar="FOLDER,...", help="Prepared data sets that must not share images with this one."),
    ] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Skip rows whose image is missing.")
    ] = PrepareOptions.allow_missing,
    allow_overlap: Annotated[
        bool, typer.Option("--allow-overlap", help="Let splits share images.")
    ] = PrepareOptions.allow_overlap,
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Skip images and videos that cannot be decoded.")
    ] = PrepareOptions.skip_broken,
) -> None:
    """Turn a benchmark or your own pictures into a data set. `leccr train` and others read it."""
    options = PrepareOptions(
        root=root,
        embed_images=embed_images,
        allow_missing=allow_missing,
        allow_overlap=allow_overlap,
        skip_broken=skip_broken,
        machine_only=machine_only,
        disjoint_from=split_paths(disjoint_from) or (),
        languages=split_words(languages),
        translation=split_words(translation),
        task=task,
        reserved_captions=split_numbers(reserved_captions),
        source_language=source_language,
        shares=split_shares(shares),
        images=images,
        videos=videos,
        features=features,
        descriptions=descriptions,
    )
    check_choice("The data set", name, READER_NAMES)
    if root is not None and not root.exists():
        raise UserError(f"There is no folder {root}; give --root the folder with the original files of the data set.")
    check_new_folder(out)
    for folder in options.disjoint_from:
        check_data(folder)

    from ..data.prepare import run_preparation

    run_preparation(name, out, options)


def describe(
    data: Data,
    model: Annotated[str, typer.Option(help="Folder or Hub name of the model, or its name at the endpoint.")],
    endpoint: Endpoint = DescribeOptions.endpoint,
    out: Output = DescribeOptions.output,
    prompts: Annotated[
        str, typer.Option(help="views (four questions), single (one), or a YAML file.")
    ] = DescribeOptions.prompts,
    revision: Revision = DescribeOptions.revision,
    frames: Annotated[
        int, typer.Option(min=1, max=1024, help="Maximum frames per video.")
    ] = DescribeOptions.num_frames,
    batch_size: Annotated[
        int, typer.Option(min=1, max=65536, help="Pictures or videos per batch.")
    ] = DescribeOptions.batch_size,
    dtype: Dtype = DescribeOptions.dtype,
    device: Device = DescribeOptions.device,
    temperature: Annotated[
        float, typer.Option(min=0, max=100, callback=is_number, help="0 is greedy; higher values sample.")
    ] = DescribeOptions.temperature,
    seed: Seed = DescribeOptions.seed,
    requests: Requests = DescribeOptions.requests,
    timeout: Timeout = DescribeOptions.timeout,
    key_env: KeyVariable = DescribeOptions.key_variable,
    trust_remote_code: TrustRemoteCode = DescribeOptions.trust_remote_code,
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Leave files that cannot be decoded without a description.")
    ] = DescribeOptions.skip_broken,
    restart: Restart = DescribeOptions.restart,
) -> None:
    """Describe pictures and videos with a multimodal model. Resumable."""
    options = DescribeOptions(
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
        trust_remote_code=trust_remote_code,
        skip_broken=skip_broken,
        restart=restart,
    )
    check_data(data)
    check_writable(out or data, folder=True)

    from processing.generation.prompts import load_prompts

    load_prompts(prompts)
    if endpoint is None:
        _need_models(model)

    from ..data.describe import run_description

    run_description(data, options)


def _need_models(*names: str | None) -> None:
    for name in filter(None, names):
        check_checkpoint(name, bare=True)

    from ..hub.reach import need_from_hub

    need_from_hub(names, alternative="With --endpoint, a server runs the model.")


def _list_languages(asked: bool) -> None:
    if not asked:
        return
    from processing.generation.language_codes import LANGUAGES
    from processing.languages import language_name

    typer.echo("code  language            NLLB-200")
    for code, language in LANGUAGES.items():
        typer.echo(f"{code:<5} {language_name(code):<19} {language.nllb}")
    raise typer.Exit


def translate(
    data: Data,
    to: Annotated[list[str], typer.Option("--to", metavar="CODE,...", help="Languages, such as de,fr,cs,zh,ja.")],
    model: Annotated[
        str,
        typer.Option(help="NLLB-200, M2M-100, MADLAD-400 or Marian: folder, Hub name, or its name at the endpoint."),
    ],
    endpoint: Endpoint = TranslateOptions.endpoint,
    out: Output = TranslateOptions.output,
    system: Annotated[
        str | None, typer.Option(help="Name to record as the captions' origin; by default the model's.")
    ] = TranslateOptions.system,
    splits: Annotated[
        list[str] | None, typer.Option(metavar="NAME,...", help="Splits to translate, such as train; by default all.")
    ] = None,
    revision: Revision = TranslateOptions.revision,
    back_translate: Annotated[
        bool, typer.Option("--back-translate", help="Weight each caption by its back-translation's chrF / 100.")
    ] = TranslateOptions.back_translate,
    back_model: Annotated[
        str | None, typer.Option(help="Model for back-translation, if not the same one.")
    ] = TranslateOptions.back_model,
    min_weight: Annotated[
        float, typer.Option(min=0, max=1, callback=is_number, help="Leave out captions with a smaller weight.")
    ] = TranslateOptions.min_weight,
    batch_size: Annotated[
        int, typer.Option(min=1, max=65536, help="Captions per batch.")
    ] = TranslateOptions.batch_size,
    dtype: Dtype = TranslateOptions.dtype,
    device: Device = TranslateOptions.device,
    beams: Annotated[int, typer.Option(min=1, max=256, help="Width of the beam search.")] = TranslateOptions.beams,
    max_new_tokens: Annotated[
        int, typer.Option(min=1, max=65536, help="Maximum tokens per translation.")
    ] = TranslateOptions.max_new_tokens,
    seed: Seed = TranslateOptions.seed,
    requests: Requests = TranslateOptions.requests,
    timeout: Timeout = TranslateOptions.timeout,
    key_env: KeyVariable = TranslateOptions.key_variable,
    trust_remote_code: TrustRemoteCode = TranslateOptions.trust_remote_code,
    restart: Restart = TranslateOptions.restart,
    list_languages: Annotated[
        bool, typer.Option("--list", is_eager=True, callback=_list_languages, help="List the languages and exit.")
    ] = False,
) -> None:
    """Translate the source captions. Resumable."""
    options = TranslateOptions(
        targets=split_words(to) or (),
        model=model,
        endpoint=endpoint,
        output=out,
        system=system,
        splits=split_words(splits),
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
        trust_remote_code=trust_remote_code,
        restart=restart,
    )
    check_data(data)
    check_writable(out or data, folder=True)

    from processing.generation.language_codes import language

    for code in options.targets:
        language(code)
    if endpoint is None:
        _need_models(model, back_model)

    from ..data.translate import run_translation

    run_translation(data, options)


__all__ = ["describe", "prepare", "translate"]
