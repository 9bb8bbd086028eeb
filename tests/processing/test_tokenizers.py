from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, normalizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from processing.tokenizers import prune_tokenizer, train_tokenizer

TEXTS = [
    "A red Dog runs in front of an old house",
    "Ein roter Hund läuft vor einem alten Haus",
    "Červený pes běží před starým domem",
    "一只红色的狗在旧房子前面奔跑",
    "赤い犬が古い家の前を走っています",
]
UNSEEN = "Ein Hundehaus am roten Haus, vor dem ein Hund rennt"


@pytest.fixture(scope="module")
def multilingual(shared_dir: Path) -> Any:
    return AutoTokenizer.from_pretrained(shared_dir / "tokenizers" / "bert-base-multilingual-cased")


@pytest.fixture(scope="module")
def learned() -> PreTrainedTokenizerFast:
    return train_tokenizer(TEXTS, 300)


@pytest.fixture(scope="module")
def caseless() -> PreTrainedTokenizerFast:
    return train_tokenizer([*TEXTS, "Eine große Straße", "İstanbul", "ılık", "ὁδός", "fine"], 300, lower_case=True)


class TestTrainTokenizer:
    def test_its_own_texts_come_back_cased_and_accented(self, learned: PreTrainedTokenizerFast) -> None:
        for text in TEXTS[:3]:
            assert learned.decode(learned(text)["input_ids"], skip_special_tokens=True) == text
        assert learned.unk_token_id not in learned(TEXTS[3])["input_ids"] + learned(TEXTS[4])["input_ids"]

    def test_texts_stand_between_the_special_tokens(self, learned: PreTrainedTokenizerFast) -> None:
        tokens = learned.convert_ids_to_tokens(learned("Dog")["input_ids"])
        assert tokens == ["[CLS]", "Dog", "[SEP]"]
        assert learned.pad_token_id == 0

    def test_a_word_never_seen_is_spelled(self, learned: PreTrainedTokenizerFast) -> None:
        tokens = learned.convert_ids_to_tokens(learned("Hundehaus")["input_ids"])
        assert "".join(token.removeprefix("##") for token in tokens[1:-1]) == "Hundehaus"

    def test_a_character_never_seen_is_unknown(self, learned: PreTrainedTokenizerFast) -> None:
        assert learned.convert_ids_to_tokens(learned("ж")["input_ids"]) == ["[CLS]", "[UNK]", "[SEP]"]

    def test_the_vocabulary_is_no_larger_than_wanted(self) -> None:
        sizes = [len(train_tokenizer(TEXTS, size)) for size in (140, 150)]
        assert sizes == [140, 150]

    def test_equal_texts_give_equal_tokenizers(self, learned: PreTrainedTokenizerFast) -> None:
        for _ in range(5):
            assert train_tokenizer(iter(TEXTS), 300).get_vocab() == learned.get_vocab()

    def test_saved_and_loaded(self, learned: PreTrainedTokenizerFast, tmp_path: Path) -> None:
        learned.save_pretrained(tmp_path)
        loaded = AutoTokenizer.from_pretrained(tmp_path)
        assert [loaded(text)["input_ids"] for text in TEXTS] == [learned(text)["input_ids"] for text in TEXTS]
        assert loaded.pad_token == "[PAD]"


class TestIgnoringCase:
    @pytest.mark.parametrize(
        "forms",
        [
            ("Straße", "STRASSE", "strasse", "STRAẞE", "Strasse"),
            ("ŉ", "ʼN", "ʼn"),
            ("ﬁne", "FINE", "fine", "Ｆine"),
            ("eﬃzient", "EFFIZIENT"),
            ("ὁδός", "ὉΔΌΣ", "ὁδόσ"),
            ("İstanbul", "istanbul", "ISTANBUL", "i̇stanbul"),
            ("ılık", "ILIK", "ilik"),
            ("ǰ", "J̌", "ǰ"),
            ("ΐ", "Ϊ́", "ΐ"),
            ("ᾳ", "ΑΙ", "ᾼ"),
            ("և", "ԵՒ", "Եւ"),
            ("ſo", "SO", "so"),
            ("Červený", "ČERVENÝ", "červený"),
        ],
        ids=lambda forms: forms[0],
    )
    def test_small_letters_and_capitals_are_the_same_tokens(
        self, forms: tuple[str, ...], caseless: PreTrainedTokenizerFast
    ) -> None:
        first, *others = (caseless(form)["input_ids"] for form in forms)
        assert all(other == first for other in others), [caseless.tokenize(form) for form in forms]

    def test_no_letter_of_unicode_differs_by_its_case(self, caseless: PreTrainedTokenizerFast) -> None:
        """Nine old forms of Cyrillic letters apart, which no dictionary has."""
        normalize = caseless.backend_tokenizer.normalizer.normalize_str
        letters = (chr(code) for code in (*range(0xD800), *range(0xE000, 0x1F000)))
        cased = [letter for letter in letters if len({letter, letter.lower(), letter.upper(), letter.casefold()}) > 1]
        different = [
            letter
            for letter in cased
            if len({normalize(form) for form in (letter, letter.lower(), letter.upper())}) > 1
        ]
        assert len(cased) > 2500 and different == [chr(code) for code in range(0x1C80, 0x1C89)]

    def test_it_stays_when_saved(self, caseless: PreTrainedTokenizerFast, tmp_path: Path) -> None:
        caseless.save_pretrained(tmp_path)
        loaded = AutoTokenizer.from_pretrained(tmp_path)
        assert loaded("STRASSE")["input_ids"] == caseless("Straße")["input_ids"]

    def test_case_counts_unless_told(self, learned: PreTrainedTokenizerFast) -> None:
        assert learned("Hund")["input_ids"] != learned("hund")["input_ids"]
        assert learned.backend_tokenizer.normalizer.normalize_str("Straße") == "Straße"


class TestPruneTokenizer:
    def test_the_training_texts_keep_their_pieces(self, multilingual: Any) -> None:
        small = prune_tokenizer(multilingual, TEXTS)
        for text in TEXTS:
            expected = multilingual.convert_ids_to_tokens(multilingual(text)["input_ids"])
            assert small.convert_ids_to_tokens(small(text)["input_ids"]) == expected

    def test_it_is_much_smaller(self, multilingual: Any) -> None:
        small = prune_tokenizer(multilingual, TEXTS)
        assert len(small) < 200 < len(multilingual) / 100
        assert sorted(small.get_vocab().values()) == list(range(len(small)))

    def test_an_unseen_word_is_spelled_with_what_is_left(self, multilingual: Any) -> None:
        small = prune_tokenizer(multilingual, TEXTS)
        tokens = small.convert_ids_to_tokens(small("Hundeleine")["input_ids"])
        assert "[UNK]" not in tokens
        assert "".join(token.removeprefix("##") for token in tokens[1:-1]) == "Hundeleine"
        assert tokens != multilingual.convert_ids_to_tokens(multilingual("Hundeleine")["input_ids"])

    def test_saved_and_loaded(self, multilingual: Any, tmp_path: Path) -> None:
        small = prune_tokenizer(multilingual, TEXTS)
        small.save_pretrained(tmp_path)
        loaded = AutoTokenizer.from_pretrained(tmp_path)
        texts = [*TEXTS, UNSEEN]
        assert [loaded(text)["input_ids"] for text in texts] == [small(text)["input_ids"] for text in texts]
        assert (loaded.pad_token_id, loaded.cls_token, loaded.sep_token) == (small.pad_token_id, "[CLS]", "[SEP]")
        assert loaded.model_max_length == multilingual.model_max_length

    def test_the_full_one_stays_as_it_is(self, learned: PreTrainedTokenizerFast) -> None:
        before = learned(UNSEEN)["input_ids"]
        prune_tokenizer(learned, TEXTS[:1])
        assert learned(UNSEEN)["input_ids"] == before

    def test_batches_and_padding_work(self, learned: PreTrainedTokenizerFast) -> None:
        learned(TEXTS, padding=True, truncation=True, max_length=7)  # its backend remembers this
        small = prune_tokenizer(learned, TEXTS)
        assert [len(ids) for ids in small(TEXTS)["input_ids"]] == [len(ids) for ids in learned(TEXTS)["input_ids"]]
        assert small(["Dog", "red Dog"], padding=True)["attention_mask"] == [[1, 1, 1, 0], [1, 1, 1, 1]]

    def test_a_lower_casing_tokenizer_keeps_the_letters_it_uses(self) -> None:
        backend = train_tokenizer([text.lower() for text in TEXTS], 300).backend_tokenizer
        backend.normalizer = normalizers.BertNormalizer(lowercase=True)
        uncased = PreTrainedTokenizerFast(
            tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
        )
        small = prune_tokenizer(uncased, ["DOG RUNS"])
        tokens = small.convert_ids_to_tokens(small("Gun")["input_ids"])
        assert tokens == ["[CLS]", "g", "##u", "##n", "[SEP]"]

    def test_other_kinds_of_tokenizers_are_refused(self) -> None:
        other = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.Unigram([("a", 0.0)])))
        with pytest.raises(ValueError, match="Only word-piece tokenizers can be cut down; this one is Unigram."):
            prune_tokenizer(other, ["a"])
