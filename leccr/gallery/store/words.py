"""The words of items in an index of trigrams (SQLite's FTS5), which finds Chinese and Japanese as well as any language.

Texts are stored in lower case with one space between words and at both ends. Where a script has no spaces, every
character is a word of its own. So a word of one or two letters, and a Chinese word of one or two characters, has three
letters together with the spaces around it, which is what an index of trigrams can find.
"""

import os
import sqlite3
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

TABLE = "CREATE VIRTUAL TABLE words USING fts5(text, tokenize = 'trigram')"
# Thai and Lao, Burmese, Khmer, radicals, iteration marks, kana, and Chinese characters.
_WITHOUT_SPACES = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x2E80, 0x2FDF),
    (0x3005, 0x3007),
    (0x3040, 0x30FF),
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
_VARIATION_SELECTORS = range(0xFE00, 0xFE10)


def plain_words(text: str) -> str:
    """Return a text as it is indexed: ` a dog in the snow `, ` 雪 地 里 的 狗 `; nothing if it has no word."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    words = "".join(map(_plain, folded)).split()
    return f" {' '.join(words)} " if words else ""


@lru_cache(maxsize=2**16)
def has_no_spaces(character: str) -> bool:
    """Return whether a character is of a script that does not put spaces between words."""
    return any(first <= ord(character) <= last for first, last in _WITHOUT_SPACES)


@lru_cache(maxsize=2**16)
def _plain(character: str) -> str:
    category = unicodedata.category(character)
    if has_no_spaces(character) or category[0] == "S":
        return f" {character} "
    if category == "Cf" or ord(character) in _VARIATION_SELECTORS:
        # What nobody sees: soft hyphens, joiners.
        return ""
    return character if character.isalnum() or category[0] == "M" else " "


def index_words(connection: sqlite3.Connection, number: int) -> None:
    """Index the words of an item as the catalogue has them now; those of an item that is gone are removed."""
    connection.execute("DELETE FROM words WHERE rowid = ?", (number,))
    row = connection.execute(
        "SELECT path, description, title, keywords, caption, writing FROM items LEFT JOIN facts USING (number) "
        "WHERE number = ?",
        (number,),
    ).fetchone()
    if row is not None:
        path, *texts = row
        # A published gallery must not tell the folders of the machine that made it.
        name = os.path.basename(path) if os.path.isabs(path) else path
        # No phrase goes from one text to the next.
        text = "\n".join(filter(None, map(plain_words, [name, *filter(None, texts)])))
        connection.execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (number, text))


def index_all_words(connection: sqlite3.Connection) -> None:
    """Make the index of words again, however broken it is."""
    empty = sqlite3.connect(":memory:")
    empty.execute(TABLE)
    # SQLite drops only an index that it can open.
    for (name,) in empty.execute("SELECT name FROM sqlite_schema WHERE name GLOB 'words_*'").fetchall():
        connection.execute(f"DELETE FROM {name}")
        for row in empty.execute(f"SELECT * FROM {name}").fetchall():
            connection.execute(f"INSERT INTO {name} VALUES ({', '.join('?' * len(row))})", row)
    empty.close()
    connection.execute("DROP TABLE words")
    connection.execute(TABLE)
    for (number,) in connection.execute("SELECT number FROM items ORDER BY number").fetchall():
        index_words(connection, number)


def is_word_index_sound(connection: sqlite3.Connection) -> bool:
    """Return whether exactly the items of the catalogue have words."""
    [without, lost] = connection.execute(
        "SELECT (SELECT count(*) FROM items WHERE number NOT IN (SELECT rowid FROM words)), "
        "(SELECT count(*) FROM words WHERE rowid NOT IN (SELECT number FROM items))"
    ).fetchone()
    return not without and not lost


def verify_word_index(connection: sqlite3.Connection) -> None:
    """Raise sqlite3.DatabaseError if the index does not fit the texts that it was made from."""
    connection.execute("INSERT INTO words (words) VALUES ('integrity-check')")


def count_items_with(connection: sqlite3.Connection, phrase: str, most: int) -> int:
    """Return how many items have a phrase of at least three characters, in the form of `plain_words`.

    Args:
        connection: A connection to the catalogue.
        phrase: The phrase.
        most: What is returned where more items have it, without looking for them.
    """
    found = "SELECT 1 FROM words WHERE words MATCH ? LIMIT ?"
    return connection.execute(f"SELECT count(*) FROM ({found})", (_quoted(phrase), most)).fetchone()[0]


def count_described(connection: sqlite3.Connection) -> int:
    """Return how many items have a description."""
    return connection.execute("SELECT count(*) FROM items WHERE description != ''").fetchone()[0]


def count_described_with(connection: sqlite3.Connection, phrase: str) -> int:
    """Return how many of the items that have a phrase, as for `count_items_with`, have a description."""
    return connection.execute(
        "SELECT count(*) FROM words CROSS JOIN items ON number = words.rowid WHERE words MATCH ? AND description != ''",
        (_quoted(phrase),),
    ).fetchone()[0]


def positions_with_all(connection: sqlite3.Connection, phrases: Sequence[str]) -> list[int]:
    """Return the positions of the items that have all of some phrases, ascending."""
    rows = connection.execute(
        "SELECT position FROM words CROSS JOIN items ON number = words.rowid WHERE words MATCH ? ORDER BY position",
        (" AND ".join(map(_quoted, phrases)),),
    )
    return [position for (position,) in rows]


def ranked_by_words(connection: sqlite3.Connection, phrases: Sequence[str], most: int = -1) -> list[int]:
    """Return the positions of the items that have all of some phrases, the best first by BM25.

    Args:
        connection: A connection to the catalogue.
        phrases: In the form of `plain_words`, of at least three characters each.
        most: Number of positions; by default all.
    """
    rows = connection.execute(
        "SELECT bm25(words), position FROM words CROSS JOIN items ON number = words.rowid WHERE words MATCH ? "
        "ORDER BY 1, 2 LIMIT ?",
        (" AND ".join(map(_quoted, phrases)), most),
    )
    return [position for _, position in rows]


def words_of(connection: sqlite3.Connection, numbers: Sequence[int]) -> dict[int, str]:
    """Return the indexed words of items, by their numbers."""
    found: dict[int, str] = {}
    for start in range(0, len(numbers), 500):
        block = numbers[start : start + 500]
        marks = ",".join("?" * len(block))
        found |= dict(connection.execute(f"SELECT rowid, text FROM words WHERE rowid IN ({marks})", block).fetchall())
    return found


def _quoted(phrase: str) -> str:
    # It has no quotes: they are no letters.
    return f'"{phrase}"'
