"""What a model answered, and whether it is of any use."""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

RETRY_TEMPERATURE = 0.7
"""An unusable answer would come again from the most probable words, so the second attempt draws them."""

EMPTY = "empty"
REFUSAL = "refusal"
RUNAWAY = "runaway"
"""An answer without an end: cut off at the largest number of tokens, far too long, or repeating itself."""

PROBLEM_WORDS = {EMPTY: "empty", REFUSAL: "a refusal", RUNAWAY: "too long or repeating itself"}
"""What problems are called on the screen."""

THOUGHTS = re.compile(r"<think>.*?(</think>|\Z)", re.DOTALL)
# "I cannot see any text" answers a question about text, so only some verbs make a refusal.
# Whole sequences that a terminal obeys, control characters, and those that turn the direction of writing. Joiners stay:
# Persian and emoji need them.
CONTROLS = re.compile(
    "\x1b\\[[0-?]*[ -/]*[@-~]|\x1b\\][^\x07\x1b]*(?:\x07|\x1b\\\\)?|\x1b[@-~]?"
    "|[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
REFUSALS = re.compile(
    r"(i['’]?m|i am) (very |really |so )?sorry\b"
    r"|sorry,"
    r"|(unfortunately,? |sorry,? )?(but )?(i (can['’]?t|cannot|can not|won['’]?t)|(i['’]m|i am) (unable|not able) to) "
    r"(assist|help|provide|fulfil|comply|process|access|answer|describe|identify|do|view|open|translate"
    r"|see (the|this|that|your|an|any) (image|picture|photo))"
    r"|as an? (ai|large language model|language model)\b",
    re.IGNORECASE,
)
LOOP = re.compile(r"(\S.{3,80}?)\1{3,}|(\S{1,3}?\s?)\2{9,}", re.DOTALL)


@dataclass(frozen=True)
class Answer:
    """A model's answer; `finished` is false where it was cut off at the largest number of tokens."""

    text: str
    finished: bool = True


@dataclass(frozen=True)
class Decoding:
    """How to draw an answer: temperature 0 takes the most probable token each time."""

    max_new_tokens: int
    temperature: float = 0.0
    seed: int = 0


def clean(text: str) -> str:
    """Return the text on one line, without thoughts of a model, broken characters and what steers terminals."""
    text = CONTROLS.sub(" ", THOUGHTS.sub(" ", text)).encode("utf-8", "replace").decode()
    return " ".join(text.split())


def find_problem(answer: Answer, longest: int) -> str | None:
    """Return `"empty"`, `"refusal"` or `"runaway"`, or None for a useful answer.

    Args:
        answer: Answer whose text is clean.
        longest: Characters above which an answer has run away. One that was cut off or repeats itself has, too.
    """
    if not answer.finished or len(answer.text) > longest or LOOP.search(answer.text):
        return RUNAWAY
    if not any(character.isalnum() for character in answer.text):
        return EMPTY
    return REFUSAL if REFUSALS.match(answer.text) else None


def answer_twice(
    count: int,
    ask: Callable[[Sequence[int], int, float], Sequence[Answer]],
    longest: Callable[[int], int],
    temperature: float,
) -> list[tuple[str | None, list[str]]]:
    """Ask about several items in one batch, and a second time about those whose answer is unusable.

    Args:
        count: How many items there are.
        ask: Gives the answers for some items, from their numbers, the number of the attempt (1 or 2), and the
            temperature.
        longest: Gives the characters that an item's answer may have.
        temperature: Temperature of the first attempt; that of the second is at least 0.7.

    Returns:
        For each item the useful answer or None, and the problems of the first and of the second answer.
    """

    def attempt(items: Sequence[int], number: int, warmth: float) -> list[tuple[str, str | None]]:
        answers = [Answer(clean(answer.text), answer.finished) for answer in ask(items, number, warmth)]
        return [(answer.text, find_problem(answer, longest(item))) for item, answer in zip(items, answers)]

    first = attempt(range(count), 1, temperature)
    results = [(None if problem else text, [problem] if problem else []) for text, problem in first]
    again = [item for item, (text, _) in enumerate(results) if text is None]
    if again:
        for item, (text, problem) in zip(again, attempt(again, 2, max(temperature, RETRY_TEMPERATURE))):
            results[item] = (None if problem else text, results[item][1] + ([problem] if problem else []))
    return results


def derive_seed(*parts: Any) -> int:
    """Return a seed below 2³¹ that depends on all parts, and on nothing else."""
    return int.from_bytes(hashlib.sha256("\0".join(map(str, parts)).encode()).digest()[:4]) >> 1
