"""`leccr translate`: machine translations of a data set's source captions."""

from collections.abc import Container, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from datasets import DatasetDict

from processing.device import choose_device
from processing.generation.describe import check_unique
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
from processing.notes import note
from processing.schema import machine_origin
from processing.storage import read_splits

from ..errors import UserError
from .describe import count_problems, open_client, open_output
from .facts import record_translations
from .loading import split_of
from .options import TranslateOptions


def run_translation(data: str, options: TranslateOptions) -> TranslationReport:
    """Translate the source captions of a prepared data set and add the translations to `target_captions`.

    Translations are kept in `translations.jsonl` next to the data as they come, with the model and all its settings,
    and back-translations with their chrF in `back_translations.jsonl`. A run that was stopped resumes when it is
    started again. Translations of the same system into the same languages are replaced, others stay.

    Args:
        data: Folder of the data set.
        options: The languages, the model and how it is asked.

    Raises:
        UserError: If there is nothing to translate, options contradict each other, the data or the model is at fault,
            earlier translations have other settings, or the endpoint failed on some captions, after the others are
            written.
    """
    choose_device(options.device)  # before anything is written
    targets = list(dict.fromkeys(options.targets))
    if not targets:
        raise UserError("Say which languages to translate into, for example --to de,fr.")
    if not options.back_translate and (options.min_weight or options.back_model):
        raise UserError("--min-weight and --back-model judge back-translations; add --back-translate.")
    system = options.system or options.model.rstrip("/").rsplit("/", 1)[-1]
    _chosen_splits(Path(data), options.splits)
    folder = open_output(data, options.output)
    chosen = _chosen_splits(folder, options.splits)
    captions = _captions(chosen, targets, system, data)
    with ExitStack() as stack:
        translator = back_translator = stack.enter_context(_open_translator(options, options.model, options.revision))
        if options.back_model:
            back_translator = stack.enter_context(_open_translator(options, options.back_model, None))
        if options.back_translate:
            _check_way_back(captions, back_translator)
        journal = stack.enter_context(Journal(folder / TRANSLATIONS_FILE, TRANSLATION_KEY))
        back_journal = None
        if options.back_translate:
            back_journal = stack.enter_context(Journal(folder / BACK_TRANSLATIONS_FILE, TRANSLATION_KEY))
        if options.restart:
            for file in filter(None, (journal, back_journal)):
                file.forget(key for key in file if key[2] in targets and key[3] == system)
        report = translate_captions(
            captions, translator, journal, max_new_tokens=options.max_new_tokens, seed=options.seed
        )
        note(f"Translated {report.translated} captions; {report.empty + report.left} have no translation.")
        if report.retried:
            note(f"Translated again, because the first answer was unusable: {count_problems(report.retried)}.")
        if back_journal is not None:
            report.left += _translate_back(captions, back_translator, journal, back_journal, options)
        weights = _Weights(back_journal, options.min_weight)
        ids = {name for rows in chosen.values() for name in rows["id"]}
        _write_translations(folder, ids, captions, journal, weights)
        settings = {
            **translator.settings,
            "back_translated": options.back_translate,
            "min_weight": options.min_weight,
        }
        record_translations(folder, system, targets, settings)
    if options.back_translate and options.min_weight:
        note(f"Left out {weights.left_out} captions whose weight is below {options.min_weight:g}.")
    if report.left:
        raise UserError(f"The endpoint failed on {report.left} captions; run the same command again for them.")
    return report


@contextmanager
def _open_translator(options: TranslateOptions, model: str, revision: str | None) -> Iterator[Translator]:
    with open_client(options, model) as client:
        if client:
            yield EndpointTranslator(client, options.requests)
        else:
            yield LocalTranslator(
                model,
                revision,
                options.dtype,
                options.device,
                batch_size=options.batch_size,
                beams=options.beams,
                trust_remote_code=options.trust_remote_code,
            )


def _chosen_splits(folder: Path, names: Sequence[str] | None) -> DatasetDict:
    splits = read_splits(folder)
    return splits if names is None else DatasetDict({name: split_of(splits, name, str(folder)) for name in names})


def _captions(splits: DatasetDict, targets: Sequence[str], system: str, data: str) -> list[Caption]:
    columns = ["id", "source_language", "source_captions"]
    rows = [row for split in splits.values() for row in split.select_columns(columns)]
    check_unique([row["id"] for row in rows])
    captions = captions_to_translate(rows, targets, system)
    if not captions:
        raise UserError(f"{data} has no captions to translate into {', '.join(targets)}.")
    return captions


def _check_way_back(captions: Sequence[Caption], translator: Translator) -> None:
    """Raise UserError now, before translating, if translating back is impossible."""
    chrf("here", "here")
    for source, target in dict.fromkeys((caption.source, caption.target) for caption in captions):
        try:
            translator.check(target, source)
        except UserError as error:
            raise UserError(f"{str(error).rstrip('.')}, or give another model with --back-model.") from error


def _translate_back(
    captions: Sequence[Caption],
    translator: Translator,
    journal: Journal,
    back_journal: Journal,
    options: TranslateOptions,
) -> int:
    """Translate all translations back; returns how many the endpoint failed on."""
    originals = {caption.key: caption.text for caption in captions}
    back = captions_to_translate_back(captions, journal)

    def rate(caption: Caption, text: str) -> dict[str, float]:
        return {"chrf": chrf(originals[caption.key], text)}

    report = translate_captions(
        back,
        translator,
        back_journal,
        rate=rate,
        title="Translating back",
        max_new_tokens=options.max_new_tokens,
        seed=options.seed,
    )
    score = mean_score(back, back_journal)
    if score is not None:
        note(f"Translated {report.translated} captions back, with a mean chrF of {score:.1f} (100: word for word).")
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


def _write_translations(
    folder: Path, ids: Container[str], captions: Sequence[Caption], journal: Journal, weights: _Weights
) -> None:
    """Replace the translations of the rows that have these ids."""
    by_row: dict[str, list[Caption]] = {}
    for caption in captions:
        by_row.setdefault(caption.key[0], []).append(caption)
    replaced = {(machine_origin(caption.key[3]), caption.target) for caption in captions}

    def target_captions(row: dict[str, Any]) -> list[dict[str, Any]]:
        existing = row["target_captions"] or []
        if row["id"] not in ids:
            return existing
        kept = [caption for caption in existing if (caption["origin"], caption["language"]) not in replaced]
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
                kept.append(caption)
        return kept

    rewrite_column(folder, "target_captions", ["id", "target_captions"], target_captions)
