"""The rule of the authors' release for captions, in the tokenizer; descriptions are read without it."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, BertTokenizer

from processing import LeccrProcessor
from processing.text_rule_leccr import (
    add_caption_rule,
    add_text_rule,
    caption_rule,
    description_tokenizer,
    has_caption_rule,
)
from processing.tokenizers import keeping_normalizer, train_tokenizer
from tests.tiny_data import ROWS, processor

TEXT = "A Man's dog runs (fast)!"


def published(caption: str) -> str:
    """What the release does, in Python."""
    spaced = re.sub(r"[,.'!?\"()*#:;~/-]", " ", caption.lower()).replace("<person>", "person")
    return " ".join(re.sub(r"\s{2,}", " ", spaced).strip().split(" ")[:30])


@pytest.fixture
def tokenizer() -> Any:
    return train_tokenizer([TEXT, TEXT.lower(), "ein Hund"], vocabulary_size=80, normalize_text=False)


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        (TEXT, "a man s dog runs fast"),
        ("Two <PERSON>s -- black/white; “quoted”", "two persons black white “quoted”"),
        ("Ein Hund\tläuft.\n", "ein hund\tläuft"),
        ("一只狗，在沙滩上。", "一只狗，在沙滩上。"),
        ("?!", ""),
        (" ".join(f"w{number}." for number in range(40)), " ".join(f"w{number}" for number in range(30))),
        ("word " * 30, ("word " * 30).strip()),
        ("一只狗" * 50, "一只狗" * 50),
    ],
)
def test_the_rule(caption: str, expected: str) -> None:
    assert caption_rule().normalize_str(caption) == expected == published(caption)


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("aBcÄß,.-'/ \t\n狗"), max_size=120))
def test_any_text(caption: str) -> None:
    assert caption_rule().normalize_str(caption) == published(caption)


def test_it_can_be_taken_out_again(tokenizer: Any) -> None:
    assert description_tokenizer(tokenizer) is tokenizer
    before = tokenizer(TEXT)["input_ids"]
    add_caption_rule(tokenizer)
    assert has_caption_rule(tokenizer) and tokenizer(TEXT)["input_ids"] != before
    plain = description_tokenizer(tokenizer)
    assert not has_caption_rule(plain) and plain(TEXT)["input_ids"] == before
    # Also from behind the text rule, as in a training that starts from a converted model.
    add_text_rule(tokenizer)
    assert has_caption_rule(tokenizer) and description_tokenizer(tokenizer)(TEXT)["input_ids"] == before


def test_only_captions_are_changed_before_and_after_saving(tokenizer: Any, tmp_path: Path) -> None:
    images = processor(ROWS).image_processor
    plain = LeccrProcessor(images, description_tokenizer(tokenizer), normalize_text=False)
    expected = plain(descriptions=[TEXT])["description_input_ids"].tolist()
    caption = plain(text=[published(TEXT)])["input_ids"].tolist()
    add_caption_rule(tokenizer)
    ours = LeccrProcessor(images, tokenizer, normalize_text=False)
    for number in range(2):
        assert ours(text=[TEXT])["input_ids"].tolist() == caption != expected
        assert ours(descriptions=[TEXT])["description_input_ids"].tolist() == expected
        if not number:
            ours.save_pretrained(tmp_path)
            ours = LeccrProcessor.from_pretrained(tmp_path)
    assert AutoTokenizer.from_pretrained(tmp_path)([TEXT])["input_ids"] == caption


def test_tokenizers_that_make_their_own_normalizer_keep_it(tmp_path: Path) -> None:
    words = {piece: number for number, piece in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "Dog", "dog"])}
    bert = BertTokenizer(vocab=words, do_lower_case=False)
    assert bert("Dog")["input_ids"] == [2, 5, 3]
    add_caption_rule(bert)
    keeping_normalizer(bert).save_pretrained(tmp_path)
    assert AutoTokenizer.from_pretrained(tmp_path)("Dog!")["input_ids"] == [2, 6, 3]
