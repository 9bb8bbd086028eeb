import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processing.sentences import MOST_SENTENCES, split_sentences


@pytest.mark.parametrize(
    "sentences",
    [
        ["Dr. Smith has 3.5 kg of apples, e.g. Granny Smith.", 'He says: "Stop! Now."', "Then he leaves."],
        ["A sign reads 'No. 5 St. John St.' on the wall.", "Two men in U.S. Army jackets smile."],
        ["Am 3. Mai sitzt ein Mann, z. B. auf einer Bank.", "Dr. Müller sagt: „Halt!“", "Dann geht er."],
        ["Es kostet 3,50 Euro bzw. mehr.", "Zwei Hunde laufen ca. 5 km."],
        [
            "M. Dupont porte un chapeau n° 5, p. ex. rouge.",
            "Il dit : « Arrêtez ! »",
            "Quelle heure est-il ?",
            "Il est 15 h.",
        ],
        ["Muž sedí např. na lavičce 3. května.", "Má č. 7 a tzv. klobouk.", "Říká: „Stůj!“", "Dr. Novák čeká."],
        ["一个男人坐在长椅上。", "他说：“停！”然后离开了。", "价格是3.5元！", "天气好吗？", "很好。"],
        ["男がベンチに座っている。", "彼は「止まれ！」と言う。", "値段は3.5円です！", "寒いですか？", "はい。"],
        ["😀 A dog 🐶.", "A cat!", "No end"],
    ],
)
def test_sentences_of_six_languages_are_told_apart(sentences: list[str]) -> None:
    ideographic = "。" in sentences[0]
    assert split_sentences(("" if ideographic else " ").join(sentences)) == sentences


def test_lines_are_sentences_whatever_they_end_with() -> None:
    text = "two men\n  A red   car (No. 5). It is long.\r\n\n \u200b \n1. A dog"
    assert split_sentences(text) == ["two men", "A red car (No. 5).", "It is long.", "1. A dog"]


@pytest.mark.parametrize("text", [None, "", " \n\t", "\u200b"])
def test_no_text_has_no_sentence(text: str | None) -> None:
    assert split_sentences(text) == []


def test_there_is_a_most() -> None:
    sentences = split_sentences("A dog runs. " * 500)
    assert sentences == ["A dog runs."] * MOST_SENTENCES


@settings(max_examples=25)
@given(st.text(st.sampled_from("aZ .!?。」\"'\n1🐶é\ud83d"), max_size=30))
def test_nothing_is_lost(text: str) -> None:
    assert "".join("".join(split_sentences(text)).split()) == "".join(text.replace("\ud83d", "?").split())
