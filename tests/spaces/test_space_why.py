from dataclasses import replace

from space_explain import Explanation, SlotPart
from space_why import details, explanation

from tests.spaces.markup import BREAKOUT, check_harmless


def found(text: str, points: float = 0.1) -> Explanation:
    slots = [
        SlotPart(1, 0.2, 0.04, b"picture", 0.1, 3.4, [(text, 0.5), (" ", 0.0), ("end", 0.1)]),
        SlotPart(2, 0.5, points, None, None, None, []),
    ]
    return Explanation(0.4 + points, 0.4, slots, 2, text, text, b"picture")


def test_no_text_from_outside_becomes_markup() -> None:
    pages = [explanation(found(text), text, text, [(text, text)]) for text in ("plain", BREAKOUT)]
    check_harmless(*pages)
    whole = Explanation(0.4, 0.4, [], None, "a", None, b"picture")
    check_harmless(*(explanation(replace(whole, name=text), text, text) for text in ("plain", BREAKOUT)))
    check_harmless(*(details(text, [(text, text)]) for text in ("plain", BREAKOUT)))


def test_it_says_which_slot_answered_and_both_shares() -> None:
    page = explanation(found("a dog"), "7", "Hund")
    assert "Score <b>0.500</b> = whole picture 0.400 + <b>slot 2</b> 0.100." in page
    assert "the whole picture gives 80 % of the score" in page
    assert "slot 2, the part that fits best, gives <b>20 %</b>" in page
    assert page.index("Slot 2, which answered") < page.index("The other slots") < page.index("<b>Slot 1</b>")
    assert 'data-action="like" data-id="7"' in page and 'data-id="7" data-query="Hund"' in page


def test_words_are_coloured_by_how_much_they_stand_out() -> None:
    def words(*weights: float) -> str:
        slot = SlotPart(1, 0.2, 0.1, words=[(f"word{number} ", weight) for number, weight in enumerate(weights)])
        return explanation(Explanation(0.4, 0.3, [slot], 1, "a", "b", b""), "7", "Hund")

    page = words(0.100, 0.102, 0.104)
    assert [f"--weight:{weight}" in page for weight in ("0.00", "0.50", "1.00")] == [True] * 3
    alike = words(0.1, 0.1, 0.1)
    assert "<mark" not in alike and "word0 word1 word2" in alike and "It reads all words alike." in alike
    assert "<mark" not in words(1.0) and "alike" not in words(1.0)


def test_it_says_how_much_the_brightest_part_stands_out() -> None:
    def said(focus: float) -> str:
        slot = SlotPart(1, 0.2, 0.1, b"", 0.1, focus)
        return explanation(Explanation(0.4, 0.3, [slot], 1, "a", None, b""), "7", "Hund")

    assert "looks at all parts of the picture alike" in said(1.001)
    assert "counts 3.4 times as much as the darkest" in said(3.4) and "over 100 times" in said(1e9)


def test_score_and_slots_are_explained_where_they_appear() -> None:
    page = explanation(found("a dog"), "7", "Hund")
    assert "higher is better" in page and "called <em>slots</em>" in page
    whole = explanation(Explanation(0.4, 0.4, [], None, "a", None, b""), "7", "Hund")
    assert "higher is better" in whole and "only as a whole" in whole and "It has no description" in whole


def test_no_share_is_given_where_a_part_is_negative() -> None:
    page = explanation(found("a dog", points=-0.1), "7", "Hund")
    assert "One of the two is negative" in page and "%</b>" not in page and "bar" not in page


def test_where_nothing_was_asked_for_only_the_file_is_described() -> None:
    page = details("7", [("Camera", "Box")], more=False)
    assert "<dt>Camera</dt><dd><bdi>Box</bdi></dd>" in page and "Score" not in page and "like" not in page
