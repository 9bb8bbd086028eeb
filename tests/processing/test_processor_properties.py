"""What holds for the processor and any text."""

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from processing import LeccrProcessor
from processing.text_rule_leccr import is_blank
from tests.tiny_data import processor, row

TEXTS = st.lists(st.text(max_size=60), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def ours() -> LeccrProcessor:
    return processor([row("a")], text_max_length=10, description_max_length=14)


@given(texts=TEXTS)
@example(texts=["a" * 10_000])
@example(texts=["\ud800"])
@example(texts=["\u200b", "\x00", "[PAD]", "[SEP][CLS]"])
def test_any_text_becomes_few_enough_tokens(ours: LeccrProcessor, texts: list[str]) -> None:
    if any(is_blank(text) for text in texts):
        with pytest.raises(ValueError, match="is empty"):
            ours(text=texts)
        return
    batch = ours(text=texts)
    assert batch["input_ids"].shape == batch["attention_mask"].shape
    assert batch["input_ids"].shape[0] == len(texts) and 1 <= batch["input_ids"].shape[1] <= 10
    assert batch["input_ids"].min() >= 0 and batch["input_ids"].max() < len(ours.tokenizer)
    assert (batch["attention_mask"].sum(dim=1) >= 1).all()
    again = ours(text=texts)
    assert torch.equal(again["input_ids"], batch["input_ids"])


@given(texts=st.lists(st.one_of(st.none(), st.text(max_size=60)), min_size=1, max_size=4))
def test_any_description_is_there_or_masked(ours: LeccrProcessor, texts: list[str | None]) -> None:
    batch = ours(descriptions=texts)
    assert batch["description_input_ids"].shape[1] <= 14
    present = batch["description_attention_mask"].any(dim=1).tolist()
    assert present == [bool(text and not is_blank(text)) for text in texts]


@given(texts=TEXTS.filter(lambda texts: not any(is_blank(text) for text in texts)))
def test_a_text_has_the_same_tokens_alone_as_in_a_batch(ours: LeccrProcessor, texts: list[str]) -> None:
    batch = ours(text=texts)
    for text, ids, mask in zip(texts, batch["input_ids"], batch["attention_mask"]):
        assert torch.equal(ours(text=text)["input_ids"][0], ids[mask.bool()])
