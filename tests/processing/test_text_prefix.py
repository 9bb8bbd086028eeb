"""What a model wants before texts and descriptions: a part of the tokenizer, so that every path reads them alike."""

from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from transformers import AutoProcessor, AutoTokenizer

from leccr.models.build import build_processor
from leccr.models.export import _write_companions
from leccr.models.model_encoder import token_batches
from processing import LeccrProcessor, RetrievalCollator
from processing.caption_collator import tokenize
from processing.text_rule_leccr import (
    add_caption_rule,
    description_tokenizer,
    set_text_prefix,
    text_prefix,
    unknown_shares,
)
from processing.tokenizers import train_tokenizer
from tests.tiny_data import recipe, row

QUERY, PASSAGE = "query: ", "passage: "
TEXTS = ["a red dog", "ein Hund am See", "一只狗"]


def fresh() -> Any:
    return train_tokenizer([QUERY, PASSAGE, *TEXTS] * 20, vocabulary_size=120)


def prefixed(**settings: Any) -> LeccrProcessor:
    prefixes = {"text_prefix": QUERY, "description_prefix": PASSAGE}
    return LeccrProcessor(build_processor(recipe(), TEXTS).image_processor, fresh(), **(prefixes | settings))


@pytest.fixture(scope="module")
def ours() -> LeccrProcessor:
    return prefixed()


def ids(texts: list[str], prefix: str) -> list[list[int]]:
    return list(fresh()([prefix + text for text in texts])["input_ids"])


def real(batch: Any, name: str = "") -> list[list[int]]:
    """Return the ids that are no padding."""
    rows = zip(batch[f"{name}input_ids"].tolist(), batch[f"{name}attention_mask"].tolist())
    return [[id for id, is_real in zip(*row) if is_real] for row in rows]


class TestEveryPath:
    """Each gives the ids of the prefixed text."""

    def test_the_processor_and_what_it_saves(self, ours: LeccrProcessor, tmp_path: Path) -> None:
        ours.save_pretrained(tmp_path)
        loaded = AutoProcessor.from_pretrained(tmp_path, trust_remote_code=True)
        for made in (ours, LeccrProcessor.from_pretrained(tmp_path), loaded):
            assert (made.text_prefix, made.description_prefix) == (QUERY, PASSAGE)
            batch = made(text=TEXTS, descriptions=[*TEXTS, None])
            assert real(batch) == ids(TEXTS, QUERY)
            assert real(batch, "description_") == [*ids(TEXTS, PASSAGE), []]
        assert AutoTokenizer.from_pretrained(tmp_path)(TEXTS)["input_ids"] == ids(TEXTS, QUERY)
        plain = LeccrProcessor.from_pretrained(tmp_path, text_prefix="", description_prefix="")
        batch = plain(text=TEXTS, descriptions=TEXTS)
        assert real(batch) == real(batch, "description_") == ids(TEXTS, "")

    def test_training_evaluation_and_search(self, ours: LeccrProcessor) -> None:
        first = row("a", source_captions=[TEXTS[0]], target_captions=[], description=TEXTS[1])
        batch = RetrievalCollator(ours)([first])
        assert real(batch, "source_") == ids(TEXTS[:1], QUERY)
        assert real(batch, "description_") == ids(TEXTS[1:2], PASSAGE)
        [(positions, inputs)] = token_batches(ours, TEXTS, 8)
        assert real(inputs) == ids([TEXTS[position] for position in positions], QUERY)

    def test_exported_programs(self, ours: LeccrProcessor, tmp_path: Path) -> None:
        _write_companions(ours, tmp_path, "tiny", {}, {})
        for file, prefix in (("tokenizer.json", QUERY), ("description_tokenizer.json", PASSAGE)):
            tokenizer = Tokenizer.from_file(str(tmp_path / file))
            tokenizer.no_padding()
            assert [tokenizer.encode(text).ids for text in TEXTS] == ids(TEXTS, prefix)
            assert file in (tmp_path / "README.md").read_text(encoding="utf-8")

    @pytest.mark.parametrize("normalize_text", [True, False])
    def test_a_network_of_texts_alone(self, normalize_text: bool, tmp_path: Path) -> None:
        settings = {"text_prefix": QUERY, "normalize_text": normalize_text}
        fields: dict[str, Any] = {"network": "cross-lingual", "vision": None, "image_processor": None}
        build_processor(recipe(processor=settings, **fields), TEXTS * 20).save_pretrained(tmp_path)
        loaded = AutoTokenizer.from_pretrained(tmp_path)
        assert text_prefix(loaded) == QUERY
        pieces = loaded.convert_ids_to_tokens(real(tokenize(loaded, TEXTS[:1]))[0])
        assert " ".join(pieces).replace(" ##", "") == "[CLS] query : a red dog [SEP]"


def test_a_cut_text_keeps_it() -> None:
    made = prefixed(text_max_length=6, description_max_length=7)
    batch = made(text="a red dog " * 9, descriptions="a red dog " * 9)
    assert real(batch)[0] == [*ids(["a red dog"], QUERY)[0][:5], made.tokenizer.sep_token_id]
    assert len(real(batch, "description_")[0]) == 7
    assert real(batch, "description_")[0][:3] == ids([""], PASSAGE)[0][:3]


def test_sentences_have_it_each() -> None:
    batch = prefixed(sentence_slots=True)(descriptions="a red dog\nein Hund")
    assert batch["description_input_ids"].shape[:2] == (1, 2)
    assert [text[:3] for text in batch["description_input_ids"][0].tolist()] == [ids([""], PASSAGE)[0][:3]] * 2


@pytest.mark.parametrize("text", ["", " \n", "\u200b"])
def test_it_does_not_make_a_text_of_nothing(ours: LeccrProcessor, text: str) -> None:
    with pytest.raises(ValueError, match="Text 0 is empty"):
        ours(text=text)
    assert not ours(descriptions=[text])["description_attention_mask"].any()
    assert ours.tokenizer(text)["input_ids"] == fresh()("")["input_ids"]


def test_it_does_not_make_a_text_readable(ours: LeccrProcessor) -> None:
    texts = ["🐶", "a red dog", "a 🐶"]
    assert ours.unknown_shares(texts) == unknown_shares(fresh(), texts) == [1.0, 0.0, 0.5]


def test_one_prefix_for_both_needs_no_second_tokenizer() -> None:
    made = prefixed(description_prefix=QUERY)
    assert made.description_tokenizer is made.tokenizer


def test_none_leaves_the_prefix_of_a_tokenizer(ours: LeccrProcessor) -> None:
    tokenizer = fresh()
    set_text_prefix(tokenizer, QUERY)
    assert LeccrProcessor(ours.image_processor, tokenizer).text_prefix == QUERY


def test_the_rule_for_captions_leaves_it_alone() -> None:
    tokenizer = fresh()
    add_caption_rule(tokenizer)
    set_text_prefix(tokenizer, QUERY)
    assert tokenizer("A red: DOG")["input_ids"] == ids(["a red dog"], QUERY)[0]
    assert description_tokenizer(tokenizer, PASSAGE)("a: dog")["input_ids"] == ids(["a: dog"], PASSAGE)[0]


def test_a_slow_tokenizer_cannot_have_one() -> None:
    with pytest.raises(ValueError, match="A prefix needs a fast tokenizer, and object is none"):
        set_text_prefix(object(), QUERY)
