"""``leccr translate``: machine translations of a data set's source captions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processing.generation.endpoint import ChatClient, EndpointError
from processing.generation.journal import Journal
from processing.generation.translate import (
    BACK_TRANSLATIONS_FILE,
    TRANSLATION_KEY,
    TRANSLATIONS_FILE,
    Caption,
    TranslationReport,
    captions_to_translate,
    captions_to_translate_back,
    chrf,
    mean_score,
    translate_captions,
)
from processing.generation.translators import EndpointTranslator, LocalTranslator, Translator
from processing.generation.write_back import rewrite_column
from processing.schema import machine_origin
from processing.storage import read_splits

from .describing import DEFAULT_KEY_VARIABLE, count_words, open_client, open_output
from .errors import UserError


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

    def open(self, model: str, revision: str | None) -> Translator:
        client = open_client(self.endpoint, model, self.timeout, self.key_variable)
        if client:
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
    """Translate the source captions of a prepared data set and add the translations to ``target_captions``.

    Translations are kept in ``translations.jsonl`` beside the data as they come, with the model and all its settings,
    and back-translations with their chrF in ``back_translations.jsonl``. A run that is stopped goes on where it was
    when it is started again. Translations of the same system into the same languages are replaced, others stay.

    Args:
        data: Folder of the data set.
        targets: Languages to translate into.
        model: Folder or Hub name of a translation model, or what the endpoint calls it.
        endpoint: Address of an OpenAI-compatible server that runs the model.
        output: Folder for a copy with translations; by default the data set itself gets them.
        system: Name for the captions' origin, ``machine:<system>``; by default the last part of the model's name.
        revision: Branch, tag or commit of the model on the Hub.
        back_translate: Translate back, and set each caption's weight to the chrF score of the result, divided by 100.
        back_model: Model that translates back, if the same one cannot.
        min_weight: Leave out captions with a smaller weight. They stay in the files beside the data, so that a run
            with another value decides anew without translating again.
        batch_size: Captions at once, without an endpoint.
        dtype: Number format of the model, without an endpoint.
        device: A torch device, or ``auto``, without an endpoint.
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
        ValueError: If the data or the model is at fault, or earlier translations have other settings.
    """
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
    with (
        Journal(folder / TRANSLATIONS_FILE, TRANSLATION_KEY) as journal,
        Journal(folder / BACK_TRANSLATIONS_FILE, TRANSLATION_KEY) as back_journal,
    ):
        if restart:
            for file in (journal, back_journal):
                file.forget(key for key in file if key[2] in targets and key[3] == system)
        report = _run(captions, engine.open(model, revision), journal, **options)
        print(f"Translations: {report.translated}; captions without one: {report.empty + report.left}.")
        if report.retried:
            print(f"Translated again: {count_words(report.retried)}.")
        if back_translate:
            report.left += _translate_back(
                captions, engine, back_model or model, revision, journal, back_journal, options
            )
        weights = _Weights(back_journal if back_translate else None, min_weight)
        _write_translations(folder, captions, journal, weights)
    if back_translate and min_weight:
        print(f"Left out below the weight {min_weight:g}: {weights.left_out}.")
    if report.left:
        raise UserError(f"The endpoint failed on {report.left} captions; start the same command again for them.")
    return report


def _captions(folder: Path, targets: Sequence[str], system: str, data: str) -> list[Caption]:
    from processing.generation.describe import check_unique

    columns = ["id", "source_language", "source_captions"]
    rows = [row for split in read_splits(folder).values() for row in split.select_columns(columns)]
    check_unique([row["id"] for row in rows])
    captions = captions_to_translate(rows, targets, system)
    if not captions:
        raise UserError(f"{data} has no captions to translate into {', '.join(targets)}.")
    return captions


def _run(captions: Sequence[Caption], translator: Translator, journal: Journal, **options: Any) -> TranslationReport:
    try:
        return translate_captions(captions, translator, journal, **options)
    except EndpointError as error:
        raise UserError(f"{error} Start the same command again to go on.") from error
    finally:
        client = getattr(translator, "client", None)
        if isinstance(client, ChatClient):
            client.close()


def _translate_back(
    captions: Sequence[Caption],
    engine: _Engine,
    model: str,
    revision: str | None,
    journal: Journal,
    back_journal: Journal,
    options: dict[str, Any],
) -> int:
    """Translate all translations back; returns how many the endpoint failed on."""
    originals = {caption.key: caption.text for caption in captions}
    back = captions_to_translate_back(captions, journal)
    chrf("here", "here")  # Before the work, not after it, if sacrebleu is missing.

    def rate(caption: Caption, text: str) -> dict[str, float]:
        return {"chrf": chrf(originals[caption.key], text)}

    report = _run(back, engine.open(model, revision), back_journal, rate=rate, title="Translating back", **options)
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

    def keeps(self, caption: dict[str, Any], key: tuple[Any, ...]) -> bool:
        """Set the caption's weight and return whether it reaches the threshold."""
        if self.back_journal is None:
            return True
        record = self.back_journal.get(key)
        if record is None:
            return True
        caption["weight"] = record.get("chrf", 0.0) / 100
        kept = caption["weight"] >= self.least
        self.left_out += not kept
        return kept


def _write_translations(folder: Path, captions: Sequence[Caption], journal: Journal, weights: _Weights) -> None:
    keys: dict[str, list[tuple[Any, ...]]] = {}
    for caption in captions:
        keys.setdefault(caption.key[0], []).append(caption.key)
    replaced = {(machine_origin(caption.key[3]), caption.target) for caption in captions}

    def target_captions(row: dict[str, Any]) -> list[dict[str, Any]]:
        there = row["target_captions"] or []
        found = [caption for caption in there if (caption["origin"], caption["language"]) not in replaced]
        for key in keys.get(row["id"], []):
            record = journal.get(key)
            if record is None or record["text"] is None:
                continue
            caption = {
                "language": record["language"],
                "text": record["text"],
                "source_number": record["source_number"],
                "origin": machine_origin(record["system"]),
                "weight": None,
            }
            if weights.keeps(caption, key):
                found.append(caption)
        return found

    rewrite_column(folder, "target_captions", ["id", "target_captions"], target_captions)
