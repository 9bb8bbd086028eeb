"""Describing pictures with a multimodal language model, resumably (LECCR, section 3.2)."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tqdm.auto import tqdm

from ..errors import UserError
from .answers import Answer, Decoding, answer_twice, derive_seed
from .describers import Describer, Pictures
from .journal import Journal
from .prompts import Prompts
from .running import check_settings, cut, run_jobs

BROKEN = "broken file"
"""Recorded where a picture or video cannot be decoded, so that nothing was asked."""

# Far more than a token has in any language, so that only a server that ignores the limit exceeds it.
CHARACTERS_A_TOKEN = 12


@dataclass
class DescriptionReport:
    """What became of the pictures.

    Attributes:
        described: Pictures with a description.
        empty: Pictures without, because no question had a useful answer or the picture is broken.
        left: Pictures that a server failed on; another run tries them again.
        retried: Answers that were asked for a second time, by the problem of the first.
        useless: Second answers that were unusable, too, by their problem.
    """

    described: int = 0
    empty: int = 0
    left: int = 0
    retried: Counter[str] = field(default_factory=Counter)
    useless: Counter[str] = field(default_factory=Counter)


def describe_pictures(
    ids: Sequence[str],
    open_pictures: Callable[[int], Pictures],
    describer: Describer,
    prompts: Prompts,
    journal: Journal,
    *,
    temperature: float = 0.0,
    seed: int = 0,
    skip_broken: bool = False,
    num_frames: int | None = None,
) -> DescriptionReport:
    """Ask all questions about all pictures that the journal has no record of, and put the journal in order.

    A record holds the `id`, the `description` (the useful answers, a line each, or null), the `answers` by view (null
    where there was no useful one), the `problems` by view (of the first answer and, if it was no better, the second)
    and the `settings`. Which pictures share a batch depends on nothing but their order and what is done, so a run
    that was stopped ends with the same file as one that was not.

    Args:
        ids: Unique ids of the pictures.
        open_pictures: Opens the pictures of the item at an index in `ids`; may be called from several threads.
        describer: The model.
        prompts: The questions.
        journal: Open journal with the key `id`.
        temperature: 0 for the most probable answers, more to draw them.
        seed: Seed of the drawing.
        skip_broken: Record pictures that cannot be opened as having no description, rather than stop.
        num_frames: Most pictures of an item, where items are videos; it goes into the settings.

    Raises:
        UserError: If ids are not unique, the journal was started with other settings, or a picture cannot be opened.
        EndpointError: If a server fails ten times in a row.
    """
    check_unique(ids)
    settings = {
        **describer.settings,
        "prompts": prompts.name,
        "prompts_digest": prompts.digest,
        "max_new_tokens": prompts.max_new_tokens,
        "temperature": temperature,
        "seed": seed,
        **({} if num_frames is None else {"num_frames": num_frames}),
    }
    done = [index for index, name in enumerate(ids) if (name,) in journal]
    check_settings(journal, ((ids[index],) for index in done), settings)
    pending = sorted(set(range(len(ids))) - set(done))

    def work(indices: Sequence[int]) -> list[dict[str, Any]]:
        opened = {index: _open(open_pictures, index, skip_broken) for index in indices}
        good = [index for index in indices if opened[index]]
        answered = _ask_all(
            describer, prompts, temperature, seed, [ids[index] for index in good], [opened[index] for index in good]
        )
        records = {index: _broken_record() for index in indices} | dict(zip(good, answered))
        return [{"id": ids[index], **records[index], "settings": settings} for index in indices]

    unit = "picture" if num_frames is None else "video"
    with tqdm(total=len(ids), initial=len(done), unit=unit, desc="Describing") as progress:
        run_jobs(cut(pending, describer.batch_size), work, journal, describer.in_flight, progress)
    report = _report(ids, journal)
    journal.finish((name,) for name in ids)
    return report


def check_unique(ids: Sequence[str]) -> None:
    """Raise UserError, naming one, if an id appears twice."""
    if len(set(ids)) < len(ids):
        [(name, count)] = Counter(ids).most_common(1)
        raise UserError(f"{count} rows have the id {name!r}; give each row its own id.")


def _open(open_pictures: Callable[[int], Pictures], index: int, skip_broken: bool) -> Pictures:
    try:
        return open_pictures(index)
    except UserError:
        if not skip_broken:
            raise
        return []


def _broken_record() -> dict[str, Any]:
    return {"description": None, "answers": {}, "problems": {BROKEN: [BROKEN]}}


def _ask_all(
    describer: Describer,
    prompts: Prompts,
    temperature: float,
    seed: int,
    ids: Sequence[str],
    shown: Sequence[Pictures],
) -> list[dict[str, Any]]:
    """Ask each question about a batch of pictures; returns their records without id and settings."""
    records: list[dict[str, Any]] = [{"description": None, "answers": {}, "problems": {}} for _ in ids]
    longest = CHARACTERS_A_TOKEN * prompts.max_new_tokens
    for view, question in prompts.questions.items() if ids else ():

        def ask(
            items: Sequence[int], attempt: int, warmth: float, view: str = view, question: str = question
        ) -> list[Answer]:
            drawing = derive_seed(seed, view, attempt, *(ids[item] for item in items))
            decoding = Decoding(prompts.max_new_tokens, warmth, drawing)
            return describer.answer([shown[item] for item in items], question, decoding)

        answers = answer_twice(len(ids), ask, lambda item: longest, temperature)
        for record, (text, problems) in zip(records, answers):
            record["answers"][view] = text
            if problems:
                record["problems"][view] = problems
    for record in records:
        # A line for each answer, so that they stay apart.
        record["description"] = "\n".join(text for text in record["answers"].values() if text) or None
    return records


def _report(ids: Sequence[str], journal: Journal) -> DescriptionReport:
    report = DescriptionReport()
    for name in ids:
        record = journal.get((name,))
        if record is None:
            report.left += 1
            continue
        report.described += record["description"] is not None
        report.empty += record["description"] is None
        for problems in record["problems"].values():
            (report.useless if problems == [BROKEN] else report.retried)[problems[0]] += 1
            report.useless.update(problems[1:])
    return report
