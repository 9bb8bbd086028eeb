"""What holds for the merging of any cards."""

import yaml
from hypothesis import given
from hypothesis import strategies as st

from hub_card.sections import BEGIN, END, MARKER, join_card, merge_cards, own_text, split_card
from processing.errors import UserError

NAMES = ("summary", "usage", "training", "results")
LINES = st.lists(
    st.one_of(
        st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20),
        st.sampled_from(["", "---", "# Title", *(mark.format(name) for mark in (BEGIN, END) for name in NAMES[:2])]),
    ),
    max_size=8,
).map("\n".join)
PLAIN = LINES.filter(lambda text: not MARKER.search(text) and not text.lstrip().startswith("---"))
VALUES = st.one_of(st.integers(), st.text("abü:#-' \"", max_size=6), st.lists(st.sampled_from("abc"), max_size=3))
FIELDS = st.dictionaries(st.sampled_from(["license", "tags", "language", "x"]), VALUES, max_size=4)
SECTIONS = st.lists(st.sampled_from(NAMES), unique=True, min_size=1).flatmap(
    lambda names: st.fixed_dictionaries({name: PLAIN for name in names})
)
CARDS = st.builds(join_card, FIELDS, SECTIONS)


@given(LINES, CARDS)
def test_any_text_is_merged_or_refused_with_a_reason(old: str, new: str) -> None:
    try:
        merged = merge_cards(old, new)
    except UserError:
        return
    assert merge_cards(merged, new) == merged, "merging again changes nothing"


@given(CARDS, CARDS, PLAIN, PLAIN)
def test_a_persons_text_and_fields_stay(old: str, new: str, before: str, after: str) -> None:
    fields, body = split_card(old, "old")
    edited = f"---\n{yaml.safe_dump({**fields, 'mine': 1}, allow_unicode=True)}---\n{before}\n{body}\n{after}"
    merged = merge_cards(edited, new)
    assert split_card(merged, "merged")[0] == {
        **{name: value for name, value in fields.items()},
        **{
            name: [*value, *(entry for entry in fields[name] if entry not in value)]
            if isinstance(value, list) and isinstance(fields.get(name), list)
            else value
            for name, value in split_card(new, "new")[0].items()
        },
        "mine": 1,
    }
    assert own_text(merged).split() == own_text(edited).split()


@given(CARDS, SECTIONS)
def test_the_generated_sections_are_those_of_the_new_card(old: str, sections: dict[str, str]) -> None:
    merged = merge_cards(old, join_card({}, sections))
    assert {match[2] for match in MARKER.finditer(merged)} == set(sections)
    for name, text in sections.items():
        assert f"{BEGIN.format(name)}\n{text.strip()}\n{END.format(name)}" in merged
