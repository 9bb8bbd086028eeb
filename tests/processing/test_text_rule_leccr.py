"""Each way to write a text gives the same tokens, with every kind of tokenizer and after saving and loading it."""

import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from processing.text_rule_leccr import add_text_rule, has_text_rule, is_blank, text_rule, unknown_shares
from processing.tokenizers import prune_tokenizer, train_tokenizer

CAPTIONS = [
    "Červený pes běží před starým domem.",
    "It's a well-lit café ...",
    "ガラスのコップが机の上にある",
    'Der "große" Hund',
]
RULE = text_rule()
SAME = {
    "decomposed Czech": (CAPTIONS[0], unicodedata.normalize("NFD", CAPTIONS[0])),
    "decomposed Japanese": (CAPTIONS[2], unicodedata.normalize("NFD", CAPTIONS[2])),
    "full-width letters": ("It's a café", "Ｉｔ＇ｓ　ａ　ｃａｆé"),
    "half-width katakana": ("ガラス", "ｶﾞﾗｽ"),
    "ligatures": ("office", "oﬃce"),
    "typographic apostrophe": (CAPTIONS[1], "It’s a well‐lit café …"),
    "acute as apostrophe": ("It's a café", "It´s a café"),
    "oxia as apostrophe": ("It's a café", "It\u1ffds a café"),
    "German quotes": (CAPTIONS[3], "Der „große“ Hund"),
    "French quotes": (CAPTIONS[3], "Der «große» Hund"),
    "non-breaking hyphen": ("well-lit", "well\u2011lit"),
    "vertical dash": ("a - b", "a ︱ b"),
    "zero-width space": ("café", "ca\u200bfé"),
    "byte order mark": ("café", "\ufeffcafé"),
    "soft hyphen": ("well-lit café", "well-lit ca\u00adfé"),
    "joiner between letter and accent": ("café", "cafe\u200d\u0301"),
    "marks of direction": ("café", "\u200fca\u202dfé\u2069"),
    "variation selector": ("café", "café\ufe0f"),
    "control characters": ("café", "ca\x00f\x1bé"),
    "many kinds of space": ("a well-lit café", "\u00a0a\u3000\twell-lit\r\n\u2009café\u2028"),
}


@pytest.fixture(scope="module")
def multilingual(shared_dir: Path) -> Any:
    tokenizer = AutoTokenizer.from_pretrained(shared_dir / "tokenizers" / "bert-base-multilingual-cased")
    add_text_rule(tokenizer)
    return tokenizer


@pytest.fixture(scope="module")
def learned() -> PreTrainedTokenizerFast:
    return train_tokenizer(CAPTIONS, 300)


@pytest.fixture(scope="module")
def pruned(shared_dir: Path) -> Any:
    tokenizer = AutoTokenizer.from_pretrained(shared_dir / "tokenizers" / "bert-base-multilingual-cased")
    add_text_rule(tokenizer)
    return prune_tokenizer(tokenizer, CAPTIONS)


def ids(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text)["input_ids"])


def unigram(normalizer: Any) -> PreTrainedTokenizerFast:
    """A tokenizer as those of XLM-R and its like: pieces of any length, and a normalizer of its own."""
    pieces = [("<unk>", 0.0), *((letter, -1.0) for letter in "abcdef1 ’")]
    backend = Tokenizer(models.Unigram(pieces, unk_id=0))
    backend.normalizer = normalizer
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>")


class TestTokens:
    @pytest.mark.parametrize("kind", ["learned", "pruned"])
    @pytest.mark.parametrize("name", SAME)
    def test_other_ways_to_write_it_give_the_same_tokens(
        self, name: str, kind: str, request: pytest.FixtureRequest
    ) -> None:
        tokenizer = request.getfixturevalue(kind)
        plain, other = SAME[name]
        assert ids(tokenizer, other) == ids(tokenizer, plain)

    @pytest.mark.parametrize("name", [name for name in SAME if name not in ("German quotes", "French quotes")])
    def test_also_with_the_real_multilingual_bert(self, name: str, multilingual: Any) -> None:
        plain, other = SAME[name]
        assert ids(multilingual, other) == ids(multilingual, plain)
        assert unknown_shares(multilingual, [other]) == [0.0]

    def test_the_real_multilingual_bert_knows_no_typographic_apostrophe_itself(self, shared_dir: Path) -> None:
        plain = AutoTokenizer.from_pretrained(shared_dir / "tokenizers" / "bert-base-multilingual-cased")
        assert "[UNK]" in plain.tokenize("It’s") and "[UNK]" in plain.tokenize(unicodedata.normalize("NFD", "ř"))

    def test_what_the_vocabulary_has_is_left_to_it(self, multilingual: Any) -> None:
        assert multilingual.tokenize("«»„")[0] == "«"

    def test_what_a_cut_down_vocabulary_has_no_more_is_mapped(self, pruned: Any) -> None:
        assert pruned.tokenize("«")[0] == '"'

    def test_a_tokenizer_that_does_nfkc_itself_keeps_its_own(self) -> None:
        own = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("1", "a")])
        tokenizer = unigram(own)
        add_text_rule(tokenizer)
        assert "NFC()" in repr(text_rule("", False)) and "NFKC" not in repr(text_rule("", False))
        assert tokenizer.tokenize("ａ①\u200b") == ["a", "a"]

    def test_without_a_normalizer_of_its_own(self) -> None:
        tokenizer = unigram(None)
        add_text_rule(tokenizer)
        assert tokenizer.tokenize("ａ① ’") == ["a", "1", " ", "’"]
        assert tokenizer.tokenize("–") == ["-"] and unknown_shares(tokenizer, ["–"]) == [1.0]

    def test_twice_is_once(self, learned: PreTrainedTokenizerFast) -> None:
        before = repr(learned.backend_tokenizer.normalizer)
        add_text_rule(learned)
        assert has_text_rule(learned) and repr(learned.backend_tokenizer.normalizer) == before

    def test_tokenizers_that_are_not_fast_are_refused(self) -> None:
        with pytest.raises(ValueError, match="needs a fast tokenizer, and object is none"):
            add_text_rule(object())

    @pytest.mark.parametrize("kind", ["learned", "pruned"])
    def test_saved_and_loaded(self, kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
        tokenizer = request.getfixturevalue(kind)
        tokenizer.save_pretrained(tmp_path)
        loaded = AutoTokenizer.from_pretrained(tmp_path)
        for plain, other in SAME.values():
            assert ids(loaded, other) == ids(tokenizer, plain)
        program = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
        assert program.encode("Ca\u200bfe\u0301").ids == ids(tokenizer, "Café")


@given(text=st.text(max_size=60))
@example(text="e\u200b\u0301")
@example(text="¨ ´ ͺ ﷺ ½ ⁗ ﹘")
def test_the_rule_is_idempotent_and_the_same_for_both_forms(text: str) -> None:
    plain = RULE.normalize_str(text)
    assert RULE.normalize_str(plain) == plain
    assert plain == plain.strip() and "  " not in plain
    for form in ("NFC", "NFD"):
        assert RULE.normalize_str(unicodedata.normalize(form, text)) == plain


@given(text=st.text(max_size=60))
@example(text="\u3164")
def test_a_text_with_letters_is_never_empty(text: str) -> None:
    if any(character.isalpha() for character in text):
        assert RULE.normalize_str(text) and not is_blank(text)


@given(text=st.text(max_size=20))
def test_a_text_is_blank_where_nothing_is_left_of_it(text: str) -> None:
    assert is_blank(text) == (not RULE.normalize_str(text))


@pytest.mark.parametrize("text", ["", " \n", "\u200b", "\ufeff\u200e", "\x07", "\ufe0f", "\u2028"])
def test_what_cannot_be_seen_is_blank(text: str) -> None:
    assert is_blank(text)


class TestUnknownShares:
    def test_emoji_and_other_scripts_are_unknown(self, learned: PreTrainedTokenizerFast) -> None:
        assert unknown_shares(learned, ["🐶", "שלום עולם", "café", "café 🐶"]) == [1.0, 1.0, 0.0, 0.5]

    def test_half_of_a_surrogate_pair_is_no_reason_to_fail(self, learned: PreTrainedTokenizerFast) -> None:
        assert unknown_shares(learned, ["\ud83d"]) == [1.0]

    def test_nothing_at_all_is_unknown(self, learned: PreTrainedTokenizerFast) -> None:
        assert unknown_shares(learned, ["\u200b"]) == [1.0]

    def test_the_special_tokens_do_not_count(self, multilingual: Any) -> None:
        assert unknown_shares(multilingual, ["🐶"]) == [1.0]
