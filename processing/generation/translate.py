"""Translating captions, resumably, and judging translations by translating them back."""

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from tqdm.auto import tqdm

from ..errors import missing_extra
from .answers import Answer, Decoding, answer_twice, derive_seed
from .journal import Journal
from .running import check_settings, cut, run_jobs
from .translators import Translator

TRANSLATIONS_FILE = "translations.jsonl"
BACK_TRANSLATIONS_FILE = "back_translations.jsonl"
TRANSLATION_KEY = ("id", "source_number", "language", "system")

CaptionKey = tuple[str, int, str, str]


@dataclass(frozen=True)
class Caption:
    """A text to translate.

    Attributes:
        key: Row id, number of the source caption, target language of the translation, translating system. A
            back-translation has the key of the translation that it belongs to.
        text: The text.
        source: Language of the text.
        target: Language to translate it into.
    """

    key: CaptionKey
    text: str
    source: str
    target: str


@dataclass
class TranslationReport:
    """What became of the captions.

    Attributes:
        translated: Captions with a translation.
        empty: Captions without, because neither attempt gave a useful one.
        left: Captions that a server failed on; another run tries them again.
        retried: Translations that were tried a second time, by the problem of the first.
    """

    translated: int = 0
    empty: int = 0
    left: int = 0
    retried: Counter[str] = field(default_factory=Counter)


def captions_to_translate(rows: Iterable[dict[str, Any]], targets: Sequence[str], system: str) -> list[Caption]:
    """Return every source caption once for each target language that is not its own, in the order of the rows."""
    return [
        Caption((row["id"], number, target, system), text, row["source_language"], target)
        for row in rows
        for target in targets
        if target != row["source_language"]
        for number, text in enumerate(row["source_captions"] or [])
        if text and text.strip()
    ]


def captions_to_translate_back(captions: Sequence[Caption], translations: Journal) -> list[Caption]:
    """Return the existing translations of `captions`, to be translated into the captions' language."""
    pairs = ((caption, record_of(caption.key, caption.text, translations)) for caption in captions)
    return [
        Caption(caption.key, record["text"], caption.target, caption.source)
        for caption, record in pairs
        if record is not None and record["text"] is not None
    ]


def translate_captions(
    captions: Sequence[Caption],
    translator: Translator,
    journal: Journal,
    *,
    max_new_tokens: int = 128,
    seed: int = 0,
    rate: Callable[[Caption, str], dict[str, Any]] = lambda caption, text: {},
    title: str = "Translating",
) -> TranslationReport:
    """Translate all captions that the journal has no record of, and put the journal in order.

    A record holds the fields of the key, the `source` text, the translated `text` (or null), the `problems` (of
    the first translation and, if it was no better, the second), what `rate` adds, and the `settings`. A caption
    whose text has changed since is translated again. Captions of one language pair are translated from the longest to
    the shortest, so that a batch holds little padding and a lack of memory shows in the first batch.

    Args:
        captions: What to translate; keys must be unique.
        translator: The model.
        journal: Open journal with the key `TRANSLATION_KEY`.
        max_new_tokens: Tokens after which a translation counts as run away.
        seed: Seed of the second attempts, which are drawn.
        rate: Returns more fields for the record of a caption, from its translation.
        title: Heading of the progress bar.

    Raises:
        UserError: If the model lacks a language, or the journal was started with other settings.
        EndpointError: If a server fails ten times in a row.
    """
    for source, target in dict.fromkeys((caption.source, caption.target) for caption in captions):
        translator.check(source, target)
    settings = {**translator.settings, "max_new_tokens": max_new_tokens, "seed": seed}
    pending = [caption for caption in captions if record_of(caption.key, caption.text, journal) is None]
    waiting = {caption.key for caption in pending}
    check_settings(journal, (caption.key for caption in captions if caption.key not in waiting), settings)

    def work(batch: Sequence[Caption]) -> list[dict[str, Any]]:
        answers = _translate_batch(batch, translator, max_new_tokens, seed)
        return [
            {
                **dict(zip(TRANSLATION_KEY, caption.key)),
                "source": caption.text,
                "text": text,
                **(rate(caption, text) if text is not None else {}),
                "problems": problems,
                "settings": settings,
            }
            for caption, (text, problems) in zip(batch, answers)
        ]

    done = len(captions) - len(pending)
    with tqdm(total=len(captions), initial=done, unit="caption", desc=title) as progress:
        run_jobs(_jobs(pending, translator.batch_size), work, journal, translator.in_flight, progress)
    report = _report(captions, journal)
    journal.finish(caption.key for caption in captions)
    return report


def record_of(key: CaptionKey, text: str, journal: Journal) -> dict[str, Any] | None:
    """Return the record of a caption, or None if there is none or the caption had another text then."""
    record = journal.get(key)
    return record if record is not None and record["source"] == text else None


def chrf(caption: str, back_translation: str) -> float:
    """Return how much of a caption a back-translation recovers: chrF2, from 0 to 100 (Popović 2015).

    Raises:
        UserError: If sacrebleu is not installed.
    """
    try:
        from sacrebleu.metrics import CHRF
    except ImportError as error:
        raise missing_extra("translate", "Scoring back-translations") from error
    return round(CHRF().sentence_score(back_translation, [caption]).score, 2)


def mean_score(captions: Sequence[Caption], back_translations: Journal) -> float | None:
    """Return the mean chrF of the captions' back-translations; one that failed counts as 0."""
    records = (record_of(caption.key, caption.text, back_translations) for caption in captions)
    scores = [record.get("chrf", 0.0) for record in records if record is not None]
    return statistics.fmean(scores) if scores else None


def _jobs(captions: Sequence[Caption], batch_size: int) -> list[Sequence[Caption]]:
    def pair(caption: Caption) -> tuple[str, str]:
        return caption.source, caption.target

    ordered = sorted(captions, key=lambda caption: (*pair(caption), -len(caption.text)))
    return [job for _, group in groupby(ordered, key=pair) for job in cut(list(group), batch_size)]


def _translate_batch(
    batch: Sequence[Caption], translator: Translator, max_new_tokens: int, seed: int
) -> list[tuple[str | None, list[str]]]:
    def ask(items: Sequence[int], attempt: int, temperature: float) -> list[Answer]:
        chosen = [batch[item] for item in items]
        drawing = derive_seed(seed, attempt, *(part for caption in chosen for part in caption.key))
        decoding = Decoding(max_new_tokens, temperature, drawing)
        return translator.translate([caption.text for caption in chosen], batch[0].source, batch[0].target, decoding)

    # A Chinese sentence has about a third of the characters of its English translation.
    return answer_twice(len(batch), ask, lambda item: 10 * len(batch[item].text) + 100, temperature=0.0)


def _report(captions: Sequence[Caption], journal: Journal) -> TranslationReport:
    report = TranslationReport()
    for caption in captions:
        record = record_of(caption.key, caption.text, journal)
        if record is None:
            report.left += 1
            continue
        report.translated += record["text"] is not None
        report.empty += record["text"] is None
        report.retried.update(record["problems"][:1])
    return report
