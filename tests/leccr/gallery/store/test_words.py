import dataclasses
import shutil
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leccr.errors import UserError
from leccr.gallery.store.catalogue import FILE, SCHEMA, Catalogue, Item, put_item
from leccr.gallery.store.state import State
from leccr.gallery.store.words import (
    count_items_with,
    index_all_words,
    index_words,
    is_word_index_sound,
    plain_words,
    positions_with_all,
    ranked_by_words,
    verify_word_index,
)
from processing.facts import Facts

ITEM = Item("a", "a.jpg", "image", "h", 1, 2, None, 1, 0)


def filled(texts: list[str]) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    for statement in SCHEMA.values():
        connection.execute(statement)
    for position, text in enumerate(texts):
        fields = {"id": str(position), "path": "x", "description": text, "position": position}
        put_item(connection, dataclasses.replace(ITEM, **fields), None)
    return connection


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A dog's  Snow-ball", " a dog s snow ball "),
        ("一只狗 in 雪地", " 一 只 狗 in 雪 地 "),
        ("ＴＶ ｶﾞ", " tv ガ "),
        ("STRASSE Straße", " strasse strasse "),
        ("IMG_0042.jpg", " img 0042 jpg "),
        ("e\u0301te\u0301 co\u00adop", " été coop "),
        ("5€ ❤\ufe0f C++", " 5 € ❤ c + + "),
        ("हिन्दी", " हिन्दी "),
        ("...", ""),
        ("", ""),
    ],
)
def test_texts_as_they_are_indexed(text: str, expected: str) -> None:
    assert plain_words(text) == expected


@given(st.text())
@settings(max_examples=100)
def test_any_text_has_one_form(text: str) -> None:
    plain = plain_words(text)
    assert plain_words(plain) == plain and "  " not in plain and '"' not in plain


@given(st.lists(st.text(alphabet="ab狗雪 \"'*-:^()", max_size=12), max_size=5), st.text(alphabet="ab狗雪 ", max_size=4))
@settings(max_examples=25, deadline=None)
def test_a_phrase_is_found_exactly_where_it_is(texts: list[str], sought: str) -> None:
    """Also where it is a single letter or character."""
    phrase = plain_words(sought)
    if phrase:
        connection = filled(texts)
        expected = [number for number, text in enumerate(texts) if phrase in plain_words(text)]
        assert positions_with_all(connection, [phrase]) == expected
        assert sorted(ranked_by_words(connection, [phrase])) == expected
        assert count_items_with(connection, phrase, 99) == len(expected)
        connection.close()


def test_rare_words_count_more() -> None:
    connection = filled(["a dog", "a cat", "a dog in the snow", "a horse", "a boat", "snow"])
    assert ranked_by_words(connection, [" dog ", " snow "])[0] == 2
    assert positions_with_all(connection, [" dog ", " snow "]) == [2]
    connection.close()


def test_words_follow_the_item() -> None:
    connection = filled(["a dog"])
    put_item(connection, dataclasses.replace(ITEM, id="0", description="a cat"), None, Facts(keywords="beach, sea"))
    assert positions_with_all(connection, [" dog "]) == []
    assert positions_with_all(connection, [" cat "]) == positions_with_all(connection, [" beach sea "]) == [0]
    connection.execute("DELETE FROM items")
    assert not is_word_index_sound(connection)
    index_words(connection, 1)
    assert count_items_with(connection, " cat ", 99) == 0 and is_word_index_sound(connection)
    connection.close()


def test_no_phrase_spans_two_texts() -> None:
    connection = filled(["a dog"])
    put_item(connection, dataclasses.replace(ITEM, id="0", path="one/two.jpg", description="three"), None)
    assert positions_with_all(connection, [" two jpg "]) == [0]
    assert positions_with_all(connection, [" jpg three "]) == []
    connection.close()


def test_folders_of_this_machine_are_not_indexed() -> None:
    connection = filled([])
    put_item(connection, dataclasses.replace(ITEM, path="/home/jane/a.jpg"), None)
    assert positions_with_all(connection, [" jane "]) == [] and positions_with_all(connection, [" a jpg "]) == [0]
    connection.close()


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    made = Catalogue.create(tmp_path / "g", State("model", "0123", 2, 4, True))
    with made.writing() as connection:
        put_item(connection, dataclasses.replace(ITEM, description="a dog in the snow"), None)
    return made


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE words_data SET block = x'00ff00ff' WHERE id > 1",
        "DELETE FROM words_data",
        "UPDATE words_content SET c0 = 'another text'",
        "DELETE FROM words_docsize",
    ],
)
def test_a_damaged_index_is_made_again(catalogue: Catalogue, damage: str) -> None:
    with catalogue.writing() as connection:
        connection.execute(damage)
    with pytest.raises(UserError), catalogue.writing() as connection:
        verify_word_index(connection)
    with catalogue.writing() as connection:
        index_all_words(connection)
    with catalogue.writing() as connection:
        verify_word_index(connection)
        assert positions_with_all(connection, [" dog "]) == [0]


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE words; CREATE VIRTUAL TABLE words USING fts5(text)",
        "DROP TABLE words; CREATE TABLE words (text)",
        "DROP TABLE words",
        "CREATE TRIGGER t AFTER INSERT ON words_content BEGIN DELETE FROM items; END",
        "CREATE VIRTUAL TABLE more USING fts5vocab(words, row)",
    ],
)
def test_another_index_is_refused(catalogue: Catalogue, statement: str, tmp_path: Path) -> None:
    shutil.copytree(catalogue.folder, tmp_path / "own")
    with sqlite3.connect(tmp_path / "own" / FILE) as connection:
        connection.executescript(statement)
    connection.close()
    with pytest.raises(UserError, match="is not the catalogue of a gallery of this version"):
        Catalogue(tmp_path / "own")
