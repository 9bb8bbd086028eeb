"""The text rule: one plain form for all ways to write the same text. It travels as remote code.

It is a normalizer in front of the tokenizer's own, and saved in `tokenizer.json`. So whatever reads texts with that
tokenizer follows it: training, search, an exported model, sentence-transformers, and programs that know nothing of us.

Checkpoints of the authors' release have another one, the caption rule, which holds for captions and queries only. After
the rules a tokenizer may put a prefix before every text, as some encoders want it.
"""

import copy
import json
from collections.abc import Sequence
from typing import Any

from tokenizers import Regex, normalizers

# Control characters, and what has no width: joiners, marks of direction, soft hyphens, selectors of emoji's forms. The
# blank letters of Korean are left, because a text with letters stays one with letters.
IGNORED = r"[\p{Cc}\p{Default_Ignorable_Code_Point}\x{FFF9}-\x{FFFB}&&[^\s\p{L}]]"
# From this share of unknown tokens on, a text counts as one that the model cannot read.
MOSTLY_UNKNOWN = 0.5
# NFKC would take these apart, into a space and a mark.
TORN_BY_NFKC = {"'": "´\u1ffd", '"': "″‶"}
TYPOGRAPHIC = {"'": "‘’‚‛ʼ′‵‹›", '"': "“”„‟«»〝〞〟", "-": "‐‑‒–—―−⸺⸻", "...": "…⋯"}
# Matches nothing, and marks that the next step is a prefix of ours; some tokenizers have one of their own.
PREFIX_MARK = r"(?!)prefix"
# What the authors' release takes out of captions, and how many words of them it reads.
CAPTION_PUNCTUATION = r"[,.'!?\"()*#:;~\-/]"
CAPTION_WORDS = 30


def text_rule(kept: str = "", compatibility: bool = True) -> normalizers.Normalizer:
    """Return the rule: composed letters, plain quotes, dashes and dots, nothing invisible, single spaces.

    Args:
        kept: Typographic characters to leave as they are, because the vocabulary has them.
        compatibility: Whether full-width letters, ligatures and the like become plain ones, too: NFKC in place of NFC.
    """
    steps: list[normalizers.Normalizer] = [normalizers.Replace(Regex(IGNORED), "")]
    steps += [normalizers.Replace(Regex(f"[{characters}]"), plain) for plain, characters in TORN_BY_NFKC.items()]
    steps.append(normalizers.NFKC() if compatibility else normalizers.NFC())
    for plain, characters in TYPOGRAPHIC.items():
        mapped = "".join(character for character in characters if character not in kept)
        steps += [normalizers.Replace(Regex(f"[{mapped}]"), plain)] if mapped else []
    return normalizers.Sequence([*steps, normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()])


def has_text_rule(tokenizer: Any) -> bool:
    """Return whether the rule is in front of a fast tokenizer's own normalizer."""
    return bool(_rule_length(_steps(tokenizer.backend_tokenizer.normalizer)))


def add_text_rule(tokenizer: Any, again: bool = False) -> None:
    """Put the rule in front of a fast tokenizer's own normalizer, in place; one that has it stays as it is.

    What the tokenizer does itself, or its vocabulary has, is left to it.

    Args:
        tokenizer: A fast tokenizer of transformers.
        again: Whether to replace the rule if the tokenizer has it, because its vocabulary is another one now.

    Raises:
        ValueError: If it is not a fast tokenizer.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ValueError(
            f"The text rule needs a fast tokenizer, and {type(tokenizer).__name__} is none; name another, or set "
            "normalize_text to false."
        )
    steps = _steps(backend.normalizer)
    if _rule_length(steps):
        if not again:
            return
        steps = steps[_rule_length(steps) :]
    own = _normalizer(steps)
    backend.normalizer = own or normalizers.Sequence([])
    compatibility = own is None or own.normalize_str("ｆ") != "f"
    kept = "".join(
        character
        for characters in TYPOGRAPHIC.values()
        for character in characters
        if tokenizer.unk_token_id not in tokenizer(character, add_special_tokens=False)["input_ids"]
    )
    rule = text_rule(kept, compatibility)
    backend.normalizer = rule if own is None else normalizers.Sequence([rule, own])


def caption_rule() -> normalizers.Normalizer:
    """Return the rule of the authors' release: lower case, punctuation as spaces, the first 30 words.

    Words are what spaces separate, so that Chinese and Japanese are never cut.
    """
    return normalizers.Sequence(
        [
            normalizers.Lowercase(),
            normalizers.Replace(Regex(CAPTION_PUNCTUATION), " "),
            normalizers.Replace("<person>", "person"),
            normalizers.Replace(Regex(r"\s{2,}"), " "),
            normalizers.Strip(),
            # What is before \K stays.
            normalizers.Replace(Regex(rf"\A(?:[^ ]+ ){{{CAPTION_WORDS - 1}}}[^ ]+\K (?m:.*)\z"), ""),
        ]
    )


def add_caption_rule(tokenizer: Any) -> None:
    """Put the rule for captions in front of a fast tokenizer's own normalizer, in place."""
    backend = tokenizer.backend_tokenizer
    backend.normalizer = _normalizer([*_steps(caption_rule()), *_steps(backend.normalizer)])


def has_caption_rule(tokenizer: Any) -> bool:
    """Return whether a tokenizer has the rule for captions, by which descriptions must not be read."""
    return _caption_rule_start(tokenizer) is not None


def text_prefix(tokenizer: Any) -> str:
    """Return what a tokenizer puts before every text; nothing by default."""
    steps = _steps(getattr(getattr(tokenizer, "backend_tokenizer", None), "normalizer", None))
    start = _prefix_start(steps)
    return "" if start is None else str(steps[start + 1]["prepend"])


def prefix_length(tokenizer: Any) -> int:
    """Return how many tokens of every text, special ones apart, are the prefix."""
    prefix = text_prefix(tokenizer)
    # It gets itself as its prefix.
    return len(tokenizer(prefix, add_special_tokens=False)["input_ids"]) // 2 if prefix else 0


def set_text_prefix(tokenizer: Any, prefix: str) -> None:
    """Put a prefix before every text that is not empty, in place of one that was set before.

    It is a step of the tokenizer's normalizer, after the rules, which leave it as it is. Its tokens count towards the
    length at which texts are cut.

    Args:
        tokenizer: A fast tokenizer of transformers.
        prefix: Such as `"query: "` for E5; an empty one takes the prefix away.

    Raises:
        ValueError: If it is not a fast tokenizer.
    """
    if prefix == text_prefix(tokenizer):
        return
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ValueError(
            f"A prefix needs a fast tokenizer, and {type(tokenizer).__name__} is none; name another, or set no prefix."
        )
    steps = _steps(backend.normalizer)
    old = _prefix_start(steps)
    if old is not None:
        del steps[old : old + 2]
    if prefix:
        start = _caption_rule_start(tokenizer)
        position = _rule_length(steps) if start is None else start + len(_steps(caption_rule()))
        own = [normalizers.Replace(Regex(PREFIX_MARK), ""), normalizers.Prepend(prefix)]
        steps[position:position] = _steps(normalizers.Sequence(own))
    backend.normalizer = _normalizer(steps) or normalizers.Sequence([])


def description_tokenizer(tokenizer: Any, prefix: str = "") -> Any:
    """Return a copy of a tokenizer without the rule for captions, and with a prefix of its own.

    Args:
        tokenizer: The tokenizer of texts, which is itself returned where it reads descriptions in the same way.
        prefix: What is put before every description.

    Raises:
        ValueError: If there is a prefix, and the tokenizer is not a fast one.
    """
    start = _caption_rule_start(tokenizer)
    if start is None and prefix == text_prefix(tokenizer):
        return tokenizer
    plain = copy.deepcopy(tokenizer)
    if start is not None:
        steps = _steps(plain.backend_tokenizer.normalizer)
        del steps[start : start + len(_steps(caption_rule()))]
        plain.backend_tokenizer.normalizer = _normalizer(steps) or normalizers.Sequence([])
    set_text_prefix(plain, prefix)
    return plain


def _prefix_start(steps: list[dict[str, Any]]) -> int | None:
    """Return the number of the first of the two steps of a prefix, if there is one."""
    return next((start for start, step in enumerate(steps) if step.get("pattern") == {"Regex": PREFIX_MARK}), None)


def _caption_rule_start(tokenizer: Any) -> int | None:
    """Return the number of the first step of the rule for captions in a tokenizer's normalizer, if it has it."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    steps, rule = _steps(getattr(backend, "normalizer", None)), _steps(caption_rule())
    return next((start for start in range(len(steps)) if steps[start : start + len(rule)] == rule), None)


def unknown_shares(tokenizer: Any, texts: Sequence[str]) -> list[float]:
    """Return the share of each text's tokens, special ones apart, that a tokenizer does not know; 1 where none is left.

    The tokens of a prefix are none of the text's.

    Args:
        tokenizer: Any tokenizer of transformers.
        texts: In any language.
    """
    if not texts:
        return []
    texts = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
    unknown = tokenizer.unk_token_id
    # A long text is no reason to warn: where it is embedded, it is cut.
    length = prefix_length(tokenizer)
    tokens = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
    return [ids[length:].count(unknown) / len(ids[length:]) if ids[length:] else 1.0 for ids in tokens]


def is_blank(text: str) -> bool:
    """Return whether a text has nothing but what the rule removes."""
    # Nearly all texts have a letter.
    if any(map(str.isalnum, text)):
        return False
    return not text.strip() or not _VISIBLE.normalize_str(text.encode("utf-8", "replace").decode("utf-8"))


_VISIBLE = normalizers.Sequence([normalizers.Replace(Regex(IGNORED), ""), normalizers.Strip()])


def _steps(normalizer: Any) -> list[dict[str, Any]]:
    """Return the state of a normalizer as a list of steps."""
    if normalizer is None:
        return []
    state = json.loads(normalizer.__getstate__())
    return list(state["normalizers"]) if state["type"] == "Sequence" else [state]


def _normalizer(steps: list[dict[str, Any]]) -> Any:
    if not steps:
        return None
    normalizer = normalizers.Sequence([])
    normalizer.__setstate__(json.dumps({"type": "Sequence", "normalizers": steps}).encode())
    return normalizer


def _rule_length(steps: list[dict[str, Any]]) -> int:
    """Return how many of the steps are the rule, which ends with stripping; 0 where there is none."""
    if not steps or steps[0].get("pattern") != {"Regex": IGNORED}:
        return 0
    return next(number for number, step in enumerate(steps, start=1) if step["type"] == "Strip")
