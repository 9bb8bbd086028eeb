"""Checkpoints, prepared data sets and galleries to the Hub, each with its card: `leccr push` and `leccr card`."""

import json
import shutil
import weakref
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from itertools import takewhile
from pathlib import Path

import yaml
from huggingface_hub import eval_result_entries_to_yaml

from hub_card.gallery_card import gallery_card
from hub_card.model_card import ModelFacts, model_card
from hub_card.names import public_name
from hub_card.results import eval_records
from hub_card.sections import merge_cards
from processing.notes import note
from processing.writing import write_text

from ..arguments import WRITTEN_BY_US, check_folder
from ..data.facts import CARD, current_card
from ..data.facts import read_facts as read_data_facts
from ..errors import UserError
from ..gallery.store.catalogue import FILE as GALLERY_FILE
from ..recipes.recipe import RECIPE_FILE
from ..recipes.yaml_text import to_yaml
from .card_facts import public_recipe, read_facts, read_json, read_recipe
from .companions import NEVER, PROGRAMS, endpoint_files, program_files
from .new_names import check_new_names
from .own_files import is_own_file, own_files
from .public_gallery import public_catalogue, public_key, public_locations
from .upload import DATASET, MODEL, Upload

RECORDS = ".eval_results"
# What belongs to a checkpoint, besides the card; runs leave much else in their folder.
MODEL_FILES = (
    "*.json",
    "*.safetensors",
    "*.py",
    "*.txt",
    "*.model",
    "*.jinja",
    "*.onnx",
    RECIPE_FILE,
    "LICENSE*",
    "NOTICE*",
)
# Fields that may hold a folder of the machine that trained, by file.
PATHS = {"config.json": ("_name_or_path",), "training.json": ("teacher",)}
JOURNALS = ("descriptions.jsonl", "translations.jsonl", "back_translations.jsonl")
# States of a text tower, larger than the data and made from them again. Features stay: pictures may not be published.
TEXT_STATES = "texts-*.safetensors"
NO_LOCATIONS: Mapping[str, str] = {}


def run_card(
    checkpoint: Path,
    output: Path | None = None,
    name: str | None = None,
    results: Sequence[Path] = (),
    license: str | None = None,
    dataset: str | None = None,
    data: Path | None = None,
) -> Path:
    """Write a checkpoint's card, keep what a person wrote into it, and return its path: what `leccr card` does.

    Raises:
        UserError: If the folder holds no checkpoint, or a file of it cannot be read.
    """
    facts = read_facts(checkpoint, name or str(checkpoint), results, license, dataset, data)
    output = checkpoint / CARD if output is None else output
    card = model_card(facts)
    if output.is_file():
        card = merge_cards(output.read_text(encoding="utf-8"), card, str(output))
    write_text(output, card)
    return output


def run_push(
    folder: Path,
    repository: str,
    kind: str | None = None,
    private: bool = False,
    revision: str | None = None,
    dry_run: bool = False,
    results: Sequence[Path] = (),
    license: str | None = None,
    dataset: str | None = None,
    data: Path | None = None,
    endpoint_handler: bool = False,
) -> str:
    """Publish a folder, or say what would be published: what `leccr push` does.

    Returns:
        The address of the commit, or, for a dry run, the listing.

    Raises:
        UserError: If the folder holds nothing to publish, the name is none of the Hub's, or the Hub refuses.
    """
    check_new_names(repository, revision)
    upload = plan_upload(folder, repository, kind, results, license, dataset, data, endpoint_handler)
    if dry_run:
        return upload.listing(repository)
    from .send import send

    for remark in upload.notes:
        note(remark)
    return send(upload, repository, private=private, revision=revision)


def plan_upload(
    folder: Path,
    repository: str,
    kind: str | None = None,
    results: Sequence[Path] = (),
    license: str | None = None,
    dataset: str | None = None,
    data: Path | None = None,
    endpoint_handler: bool = False,
) -> Upload:
    """Return what a folder holds to publish.

    Args:
        folder: A checkpoint that `leccr train` wrote, data that `leccr prepare` wrote, or a gallery.
        repository: Name on the Hub.
        kind: `model` or `dataset`; by default what the folder holds. `dataset` takes any folder.
        results: Files that `leccr evaluate --out` wrote, for a checkpoint's card.
        license: Identifier of the licence of a checkpoint's weights.
        dataset: Hub name of the data that the figures are on.
        data: Folder of the training data, whose facts say what they are.
        endpoint_handler: Whether a model gets a `handler.py`, with which Inference Endpoints run it.

    Raises:
        UserError: If the folder holds nothing of the kind.
    """
    check_folder(folder, WRITTEN_BY_US)
    if kind not in (None, MODEL, DATASET):
        raise UserError(f'There is no kind "{kind}"; choose model or dataset.')
    if kind != DATASET and (folder / "config.json").is_file():
        facts = read_facts(folder, repository, results, license, dataset, data)
        return _checkpoint(folder, facts, endpoint_files(folder) if endpoint_handler else {})
    if kind == MODEL:
        raise UserError(f"{folder} holds no model: it has no config.json; name a folder that `leccr train` wrote.")
    if results or license or dataset or data or endpoint_handler:
        options = "--results, --license, --dataset, --data and --endpoint-handler"
        raise UserError(f"{options} are for a model, and this is a data set.")
    if (folder / GALLERY_FILE).is_file():
        return _gallery(folder, repository)
    if kind == DATASET or any(folder.glob("*.parquet")):
        return _data_set(folder)
    raise UserError(
        f"{folder} holds no model, no prepared data and no gallery; name another folder, or add --kind dataset to "
        "upload all its files."
    )


def _checkpoint(folder: Path, facts: ModelFacts, more: Mapping[str, bytes]) -> Upload:
    names, left_out = _chosen(folder, MODEL_FILES)
    if not any(fnmatch(name, "*.safetensors") for name in names):
        linked = "; what links lead to is not uploaded" if any(" (a link" in name for name in left_out) else ""
        raise UserError(
            f"{folder} holds no weights (*.safetensors){linked}; wait for the training to end, or name another."
        )
    programs = program_files(folder)
    if programs:
        left_out.remove(f"{PROGRAMS}/")
    files: dict[str, Path | bytes] = {**{name: _publishable(folder / name) for name in names}, **programs, **more}
    notes = []
    if facts.results and facts.dataset:
        for name, entries in eval_records(facts.results, facts.dataset).items():
            text = yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False, allow_unicode=True)
            files[f"{RECORDS}/{name}"] = text.encode()
    elif facts.results:
        notes.append("The figures go only into the card; add --dataset org/name for records on the Hub's leaderboards.")
    if not facts.license:
        notes.append("No licence was chosen; add --license, for example --license apache-2.0.")
    return Upload("checkpoint", MODEL, _with_own_text(folder, model_card(facts)), files, left_out, notes)


def _publishable(path: Path) -> Path | bytes:
    """Return a file, or what is published in its place if it names folders of this machine."""
    if path.name == RECIPE_FILE:
        return _publishable_recipe(path)
    names = PATHS.get(path.name)
    if names is None:
        return path
    from modeling_leccr.fields_leccr import without_local_paths

    fields = read_json(path)
    kept = without_local_paths(fields, *names)
    return path if kept == fields else (json.dumps(kept, indent=2, ensure_ascii=False) + "\n").encode()


def _publishable_recipe(path: Path) -> Path | bytes:
    recipe = read_recipe(path.parent)
    kept = public_recipe(recipe)
    if kept == recipe:
        return path
    # Comments at the beginning list what the towers changed.
    comments = takewhile(lambda line: line.startswith("#"), path.read_text(encoding="utf-8").splitlines())
    return ("".join(f"{line}\n" for line in comments) + to_yaml(kept)).encode()


def _publishable_journal(path: Path, locations: Mapping[str, str] = NO_LOCATIONS) -> Path | bytes:
    """Return a file, or, of what a model said, the content with only the last parts of folders."""
    if path.name not in JOURNALS:
        return path
    lines = path.read_text(encoding="utf-8").split("\n")
    kept = [_with_public_model(public_key(line, locations)) for line in lines]
    return path if kept == lines else "\n".join(kept).encode()


def _with_public_model(line: str) -> str:
    try:
        record = json.loads(line)
        model = record["settings"]["model"]
    except (ValueError, KeyError, TypeError):
        return line
    if not isinstance(model, str) or public_name(model) == model:
        return line
    record["settings"]["model"] = public_name(model)
    return json.dumps(record, ensure_ascii=False)


def _gallery(folder: Path, repository: str) -> Upload:
    from ..gallery.store.catalogue import Catalogue, read_state, sources_of

    names, left_out = _chosen(folder, ("*",))
    catalogue = Catalogue(folder)
    with catalogue.reading() as connection:
        state, locations = read_state(connection, str(folder)), public_locations(sources_of(connection).values())
    copy = public_catalogue(catalogue) if state.engine == "faiss" and GALLERY_FILE in names else None
    catalogue.close()
    if state.engine != "faiss":
        raise UserError(
            f"The views of {folder} are in {state.uri}; convert it first: leccr gallery convert {folder} --engine faiss"
        )
    files = {name: _publishable_journal(folder / name, locations) for name in names}
    if copy is not None:
        files[GALLERY_FILE] = copy
    card = gallery_card(repository, state.items, Path(state.model).name, state.dtype)
    note = f"It shows thumbnails, file names and descriptions of {state.items:,} items to whoever can read it."
    upload = Upload("gallery", DATASET, _with_own_text(folder, card), files, left_out, [note])
    if copy is not None:
        weakref.finalize(upload, shutil.rmtree, copy.parent, ignore_errors=True)
    return upload


def _data_set(folder: Path) -> Upload:
    # Imports datasets.
    from processing.references import NOTE_FILE

    names, left_out = _chosen(folder, ("*",), below=True)
    # A gallery knows the folders of this machine, which are taken out only if it is published as one.
    galleries = {Path(name).parent for name in names if Path(name).name == GALLERY_FILE}
    left_out += [name for name in names if Path(name).parent in galleries]
    states = [name for name in names if fnmatch(Path(name).name, TEXT_STATES)]
    left_out = sorted({*left_out, *states})
    files = {name: _publishable_journal(folder / name) for name in names if name not in left_out}
    if not files:
        raise UserError(f"{folder} holds no files to upload; left out: {', '.join(left_out) or 'none'}.")
    notes = []
    if (folder / NOTE_FILE).is_file():
        notes.append("Rows name pictures or videos by their paths on this machine, and the files are not uploaded.")
    if states:
        notes.append(f"{', '.join(states)}: left out, because `leccr features --texts` makes it from the data again.")
    return Upload("data set", DATASET, _data_card(folder), files, left_out, notes)


def _data_card(folder: Path) -> str | None:
    facts = read_data_facts(folder)
    if facts is not None:
        return current_card(folder, facts)
    return (folder / CARD).read_text(encoding="utf-8") if is_own_file(folder / CARD) else None


def _chosen(folder: Path, patterns: Sequence[str], below: bool = False) -> tuple[list[str], list[str]]:
    """Return the names of the files that match, without the card, and everything else in the folder."""
    files, left_out = own_files(folder, below)
    chosen = []
    for name in files:
        fits = any(fnmatch(name, pattern) for pattern in patterns)
        if fits and not any(fnmatch(part, pattern) for part in name.split("/") for pattern in NEVER):
            chosen.append(name)
        else:
            left_out.append(name)
    return [name for name in chosen if name != CARD], sorted(name for name in left_out if name != CARD)


def _with_own_text(folder: Path, card: str) -> str:
    path = folder / CARD
    return merge_cards(path.read_text(encoding="utf-8"), card, str(path)) if is_own_file(path) else card
