from typing import Any

import numpy as np
from space_explain import weigh_words

from processing import LeccrProcessor
from tests.tiny_data import processor, row


def test_words_are_weighed_by_their_own_tokens_after_a_prefix() -> None:
    text = "a red dog"
    plain = processor([row("a", description=f"passage: {text}")])
    made = LeccrProcessor(plain.image_processor, plain.tokenizer, description_prefix="passage: ")
    [ids] = made(descriptions=text)["description_input_ids"].tolist()
    assert made.tokenizer.convert_ids_to_tokens(ids) == ["[CLS]", "passage", ":", "a", "red", "dog", "[SEP]"]
    retriever: Any = type("Retriever", (), {"processor": made})
    pieces = weigh_words(retriever, text, np.arange(len(ids), dtype=np.float32))
    assert [(piece, weight) for piece, weight in pieces if weight] == [("a", 3.0), ("red", 4.0), ("dog", 5.0)]
