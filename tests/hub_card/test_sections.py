import pytest

from hub_card.sections import DRAFT, join_card, merge_cards, own_text, split_card

OLD = join_card({"license": "mit", "tags": ["a"]}, {"what": "# Old", "usage": "old code", "gone": "gone"})
NEW = join_card({"tags": ["a", "b"]}, {"what": "# New", "method": "new method", "usage": "new code"})


def test_a_merge_with_itself_changes_nothing() -> None:
    assert merge_cards(OLD, OLD) == OLD
    assert merge_cards(NEW, NEW) == NEW


def test_sections_are_replaced_added_in_their_place_and_taken_away() -> None:
    merged = merge_cards(OLD, NEW)
    _, body = split_card(merged, "it")
    _, new_body = split_card(NEW, "it")
    assert body.split() == new_body.split()
    assert merge_cards(merged, NEW) == merged


def test_what_a_person_wrote_stays_where_it_was() -> None:
    edited = OLD.replace("<!-- leccr: begin usage -->", "My own words.\n\n<!-- leccr: begin usage -->") + "\nThe end.\n"
    merged = merge_cards(edited, NEW)
    positions = [merged.index(part) for part in ("# New", "new method", "My own words.", "new code", "The end.")]
    assert positions == sorted(positions)
    assert "old" not in merged and "gone" not in merged
    assert own_text(merged) == own_text(edited) == "My own words.\nThe end."


def test_an_edit_inside_a_section_is_overwritten() -> None:
    assert merge_cards(NEW.replace("new code", "my code"), NEW) == NEW


def test_fields_of_a_person_stay_and_lists_are_joined() -> None:
    fields, _ = split_card(merge_cards(OLD.replace("- a", "- a\n- mine"), NEW), "it")
    assert fields == {"tags": ["a", "b", "mine"], "license": "mit"}


def test_results_in_the_front_matter_are_replaced() -> None:
    old, new = (join_card({"model-index": [{"name": name}]}, {"what": "x"}) for name in ("old", "new"))
    assert split_card(merge_cards(old, new), "it")[0] == {"model-index": [{"name": "new"}]}


def test_a_card_of_a_persons_own_stays_in_front() -> None:
    merged = merge_cards("# Mine\n\nAll my own.\n", NEW)
    assert merged.index("# Mine") < merged.index("All my own.") < merged.index("# New") < merged.index("new method")
    assert own_text(merged) == "# Mine\n\nAll my own."


def test_a_first_section_comes_before_the_others() -> None:
    old = join_card({}, {"usage": "old code"})
    assert split_card(merge_cards(old, NEW), "it")[1].split() == split_card(NEW, "it")[1].split()


def test_what_trainer_drafted_is_replaced() -> None:
    assert merge_cards(f"---\ntags: [x]\n---\n<!-- {DRAFT} -->\n# model\n", NEW) == NEW


def test_windows_line_ends() -> None:
    assert merge_cards(OLD.replace("\n", "\r\n"), NEW) == merge_cards(OLD, NEW)


@pytest.mark.parametrize(
    ("old", "message"),
    [
        (OLD.replace("<!-- leccr: end what -->", ""), "begin usage"),
        (OLD.replace("<!-- leccr: end gone -->", ""), "section gone has no end"),
        (OLD.replace("<!-- leccr: begin what -->", ""), "end what"),
        ("---\na: [\n---\n", "not YAML"),
        ("---\n- a\n---\n", "no fields"),
    ],
)
def test_a_damaged_card_is_named(old: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        merge_cards(old, NEW, "my card")
    assert "my card" in str(error.value)
