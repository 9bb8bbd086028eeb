"""`leccr translate`: machine translations of a data set's source captions."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processing.device import choose_device
from processing.generation.describe import check_unique
from processing.generation.endpoint import EndpointError
from processing.generation.journal import Journal
from processing.generation.translate import (
    BACK_TRANSLATIONS_FILE,
    TRANSLATION_KEY,
    TRANSLATIONS_FILE,
    Caption,
    CaptionKey,
    TranslationReport,
    captions_to_translate,
    captions_to_translate_back,
    chrf,
    mean_score,
    record_of,
    translate_captions,
)
from processing.generation.translators import EndpointTranslator, LocalTranslator, Translator
from processing.generation.write_back import rewrite_column
from processing.schema import machine_origin
from processing.storage import read_splits

from ..errors import UserError
from .describe import DEFAULT_KEY_VARIABLE, count_words, open_client, open_output
from .facts import record_translations


@dataclass(frozen=True)
class _Engine:
    """How to load a translating model, or to reach it."""

    endpoint: str | None
    batch_size: int
    dtype: str
    device: str
    beams: int
    requests: int
    timeout: float
    key_variable: str

    def open(self, model: str, revision: str | None, stack: ExitStack) -> Translator:
        client = open_client(self.endpoint, model, self.timeout, self.key_variable)
        if client:
            stack.callback(client.close)
            return EndpointTranslator(client, self.requests)
        return LocalTranslator(model, revision, self.dtype, self.device, self.batch_size, self.beams)


def run_translation(
    data: str,
    *,
    targets: Sequence[str],
    model: str,
    endpoint: str | None = None,
    output: Path | None = None,
    system: str | None = None,
    revision: str | None = None,
    back_translate: bool = False,
    back_model: str | None = None,
    min_weight: float = 0.0,
    batch_size: int = 32,
    dtype: str = "auto",
    device: str = "auto",
    beams: int = 4,
    max_new_tokens: int = 128,
    seed: int = 0,
    requests: int = 16,
    timeout: float = 120.0,
    key_variable: str = DEFAULT_KEY_VARIABLE,
    restart: bool = False,
) -> TranslationReport:
    """Translate the source captions of a prepared data set and add the translations to `target_captions`.

    Translations are kept in `translations.jsonl` beside the data as they come, with the model and all its settings,
    and back-translations with their chrF in `back_translations.jsonl`. A run that is stopped goes on where it was
    when it is started again. Translations of the same system into the same languages are replaced, others stay.

    Args:
        data: Folder of the data set.
        targets: Languages to translate into.
        model: Folder or Hub name of a translation model, or what the endpoint calls it.
        endpoint: Address of an OpenAI-compatible server that runs the model.
        output: Folder for a copy with translations; by default the data set itself gets them.
        system: Name for the captions' origin, `machine:<system>`; by default the last part of the model's name.
        revision: Branch, tag or commit of the model on the Hub.
        back_translate: Translate back, and set each caption's weight to the chrF score of the result, divided by 100.
        back_model: Model that translates back, if the same one cannot.
        min_weight: Leave out captions with a smaller weight. They stay in the files beside the data, so that a run
            with another value decides anew without translating again.
        batch_size: Captions at once, without an endpoint.
        dtype: Precision of the model, as for `processing.device.choose_dtype`, without an endpoint.
        device: Where the model runs, as for `processing.device.choose_device`, without an endpoint.
        beams: Width of the beam search, without an endpoint.
        max_new_tokens: Tokens after which a translation counts as run away.
        seed: Seed of second attempts.
        requests: Requests at once to the endpoint.
        timeout: Seconds to wait for an answer of the endpoint.
        key_variable: Environment variable that holds the endpoint's key, if it needs one.
        restart: Discard the earlier translations of this system into these languages.

    Raises:
        UserError: If there is nothing to translate, options contradict each other, or the endpoint failed on some
            captions, after the others are written.
        UserError: If the data or the model is at fault, or earlier translations have other settings.
    """
    choose_device(device)  # before anything is written
    targets = list(dict.fromkeys(targets))
    if not targets:
        raise UserError("Say which languages to translate into, for example --to de fr.")
    if not back_translate and (min_weight or back_model):
        raise UserError("--min-weight and --back-model judge back-translations; add --back-translate.")
    system = system or model.rstrip("/").rsplit("/", 1)[-1]
    engine = _Engine(endpoint, batch_size, dtype, device, beams, requests, timeout, key_variable)
    folder = open_output(data, output)
    captions = _captions(folder, targets, system, data)
    options: dict[str, Any] = {"max_new_tokens": max_new_tokens, "seed": seed}
    with ExitStack() as stack:
        translator = back_translator = engine.open(model, revision, stack)
        if back_model:
            back_translator = engine.open(back_model, None, stack)
        if back_translate:
            _check_way_back(captions, back_translator)
        journal = stack.enter_context(Journal(folder / TRANSLATIONS_FILE, TRANSLATION_KEY))
        back_journal = None
        if back_translate:
            back_journal = stack.enter_context(Journal(folder / BACK_TRANSLATIONS_FILE, TRANSLATION_KEY))
        if restart:
            for file in filter(None, (journal, back_journal)):
                file.forget(key for key in file if key[2] in targets and key[3] == system)
        report = _run(captions, translator, journal, **options)
        print(f"Translations: {report.translated}; captions without one: {report.empty + report.left}.")
        if report.retried:
            print(f"Translated again: {count_words(report.retried)}.")
        if back_journal is not None:
            report.left += _translate_back(captions, back_translator, journal, back_journal, options)
        weights = _Weights(back_journal, min_weight)
        _write_translations(folder, captions, journal, weights)
        settings = {**translator.settings, "back_translated": back_translate, "min_weight": min_weight}
        record_translations(folder, system, targets, settings)
    if back_translate and min_weight:
        print(f"Left out below the weight {min_weight:g}: {weights.left_out}.")
    if report.left:
        raise UserError(f"The endpoint failed on {report.left} captions; start the same command again for them.")
    return report


def _captions(folder: Path, targets: Sequence[str], system: str, data: str) -> list[Caption]:
    columns = ["id", "source_language", "source_captions"]
    rows = [row for split in read_splits(folder).values() for row in split.select_columns(columns)]
    check_unique([row["id"] for row in rows])
    captions = captions_to_translate(rows, targets, system)
    if not captions:
        raise UserError(f"{data} has no captions to translate into {', '.join(targets)}.")
    return captions


def _check_way_back(captions: Sequence[Caption], translator: Translator) -> None:
    """Raise UserError now, not after the way there, if the way back is impossible."""
    chrf("here", "here")
    for source, target in dict.fromkeys((caption.source, caption.target) for caption in captions):
        try:
            translator.check(target, source)
        except ValueError as error:
            raise UserError(
                f"{str(error).rstrip('.')}, or give another model for the way back as --back-model."
            ) from error


def _run(captions: Sequence[Caption], translator: Translator, journal: Journal, **options: Any) -> TranslationReport:
    try:
        return translate_captions(captions, translator, journal, **options)
    except EndpointError as error:
        raise UserError(f"{error} Start the same command again to go on.") from error


def _translate_back(
    captions: Sequence[Caption],
    translator: Translator,
    journal: Journal,
    back_journal: Journal,
    options: dict[str, Any],
) -> int:
    """Translate all translations back; returns how many the endpoint failed on."""
    originals = {caption.key: caption.text for caption in captions}
    back = captions_to_translate_back(captions, journal)

    def rate(caption: Caption, text: str) -> dict[str, float]:
        return {"chrf": chrf(originals[caption.key], text)}

    report = _run(back, translator, back_journal, rate=rate, title="Translating back", **options)
    score = mean_score(back, back_journal)
    if score is not None:
        print(f"Back-translations: {report.translated}, with a mean chrF of {score:.1f}.")
    return report.left


class _Weights:
    """Gives each translation its weight, and counts those below the threshold."""

    def __init__(self, back_journal: Journal | None, least: float) -> None:
        self.back_journal = back_journal
        self.least = least
        self.left_out = 0

    def keeps(self, caption: dict[str, Any], key: CaptionKey) -> bool:
        """Set the caption's weight and return whether it reaches the threshold."""
        record = record_of(key, caption["text"], self.back_journal) if self.back_journal is not None else None
        if record is None:
            return True
        caption["weight"] = record.get("chrf", 0.0) / 100
        kept = caption["weight"] >= self.least
        self.left_out += not kept
        return kept


def _write_translations(folder: Path, captions: Sequence[Caption], journal: Journal, weights: _Weights) -> None:
    by_row: dict[str, list[Caption]] = {}
    for caption in captions:
        by_row.setdefault(caption.key[0], []).append(caption)
    replaced = {(machine_origin(caption.key[3]), caption.target) for caption in captions}

    def target_captions(row: dict[str, Any]) -> list[dict[str, Any]]:
        there = row["target_captions"] or []
        found = [caption for caption in there if (caption["origin"], caption["language"]) not in replaced]
        for source in by_row.get(row["id"], []):
            record = record_of(source.key, source.text, journal)
            if record is None or record["text"] is None:
                continue
            caption = {
                "language": record["language"],
                "text": record["text"],
                "source_number": record["source_number"],
                "origin": machine_origin(record["system"]),
                "weight": None,
            }
            if weights.keeps(caption, source.key):
                found.append(caption)
        return found

    rewrite_column(folder, "target_captions", ["id", "target_captions"], target_captions)
