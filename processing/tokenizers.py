"""Small tokenizers: learned from the data, or a large one cut down to what the data use."""

import json
from collections.abc import Iterable
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from .errors import UserError
from .text_rule_leccr import add_text_rule, has_text_rule, text_rule

# What has several forms in lower case, or another one in capitals: full case folding of Unicode, once letters are taken
# apart; and the Turkish letters that look like I in capitals.
FOLDED = {
    "ß": "ss",
    "ς": "σ",
    "\u0345": "ι",
    "ı": "i",
    "i\u0307": "i",
    "ſ": "s",
    "ŉ": "ʼn",
    "ẚ": "aʾ",
    "ﬀ": "ff",
    "ﬁ": "fi",
    "ﬂ": "fl",
    "ﬃ": "ffi",
    "ﬄ": "ffl",
    "ﬅ": "st",
    "ﬆ": "st",
    "և": "եւ",
}

SPECIAL_TOKENS = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}


def train_tokenizer(
    texts: Iterable[str], vocabulary_size: int = 4000, normalize_text: bool = True, lower_case: bool = False
) -> PreTrainedTokenizerFast:
    """Learn a word-piece tokenizer from texts in any languages; equal texts give an equal tokenizer.

    Every letter of the texts is a piece at the start of a word and inside one, so that unseen words can be spelled.

    Args:
        texts: Training texts only; validation text must not shape the vocabulary.
        vocabulary_size: Largest number of pieces.
        normalize_text: Whether it follows the text rule of `processing.text_rule_leccr`.
        lower_case: Whether it ignores case: a text in lower case and in capitals (Straße, STRASSE) is the same to it.
    """
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    own = normalizers.BertNormalizer(lowercase=lower_case, handle_chinese_chars=True, strip_accents=False)
    rule = [text_rule()] if normalize_text else []
    tokenizer.normalizer = normalizers.Sequence([*rule, own, *(_folding() if lower_case else [])])
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    texts = list(texts)
    letters = sorted({letter for text in texts for word in _words(tokenizer, text) if len(word) > 1 for letter in word})
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocabulary_size,
        # The trainer numbers pieces within words in the order of a hash table, which changes from call to call and
        # decides between equally frequent pairs, unless they are known from the start.
        special_tokens=[*SPECIAL_TOKENS.values(), *("##" + letter for letter in letters)],
        initial_alphabet=letters,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    state = json.loads(tokenizer.to_str())
    state["added_tokens"] = []
    return _wrapped(Tokenizer.from_str(json.dumps(state)), model_max_length=512)


def _folding() -> list[normalizers.Normalizer]:
    """Return what makes equal, after lower case, the letters that still differ by case."""
    folded = [normalizers.Replace(letter, plain) for letter, plain in FOLDED.items()]
    return [normalizers.NFD(), *folded, normalizers.NFC()]


def _words(tokenizer: Tokenizer, text: str) -> list[str]:
    return [word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(text))]


def prune_tokenizer(tokenizer: Any, texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Cut a word-piece tokenizer down to the pieces that occur in `texts`, so that few embeddings are trained.

    The single characters of the texts stay, too, as word starts and as continuations, so that most unseen words can
    still be spelled. A text rule in front of it stays, and fits what is left of the vocabulary.

    Args:
        tokenizer: A fast tokenizer with a word-piece model, for example mBERT's.
        texts: Training texts only.

    Returns:
        A tokenizer that gives the same pieces as the full one on `texts`.

    Raises:
        UserError: If the tokenizer is not a word-piece tokenizer.
    """
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    if state["model"]["type"] != "WordPiece":
        raise UserError(f"Only word-piece tokenizers can be cut down; this one is {state['model']['type']}.")
    vocabulary = state["model"]["vocab"]
    names = {number: piece for piece, number in vocabulary.items()}
    kept = {vocabulary[token] for token in SPECIAL_TOKENS.values()}
    characters: set[str] = set()
    normalizer = tokenizer.backend_tokenizer.normalizer
    for text in texts:
        kept.update(tokenizer(text)["input_ids"])
        characters.update(text if normalizer is None else normalizer.normalize_str(text))
    for character in characters:
        kept.update(vocabulary[piece] for piece in (character, "##" + character) if piece in vocabulary)
    pieces = {names[number]: index for index, number in enumerate(sorted(kept))}
    state["model"]["vocab"] = pieces
    state["added_tokens"] = [
        {**token, "id": pieces[token["content"]]} for token in state["added_tokens"] if token["content"] in pieces
    ]
    state["post_processor"] = None
    small = _wrapped(Tokenizer.from_str(json.dumps(state)), model_max_length=tokenizer.model_max_length)
    if has_text_rule(tokenizer):
        add_text_rule(small, again=True)
    return small


def keeping_normalizer(tokenizer: Any) -> PreTrainedTokenizerFast:
    """Return a fast tokenizer as one that keeps its normalizer when it is saved and loaded.

    The classes of most families make their normalizer themselves, and do not read the one in tokenizer.json.
    """
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer,
        model_max_length=tokenizer.model_max_length,
        padding_side=tokenizer.padding_side,
        truncation_side=tokenizer.truncation_side,
        model_input_names=tokenizer.model_input_names,
        **tokenizer.special_tokens_map,
    )


def _wrapped(tokenizer: Tokenizer, model_max_length: int) -> PreTrainedTokenizerFast:
    tokenizer.decoder = decoders.WordPiece()
    numbers = tokenizer.get_vocab()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", numbers["[SEP]"]), ("[CLS]", numbers["[CLS]"]))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=model_max_length, **SPECIAL_TOKENS)
