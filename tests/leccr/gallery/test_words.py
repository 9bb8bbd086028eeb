"""Words and vectors together: through Python, the command line and the prompt."""

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from leccr.errors import UserError
from leccr.gallery import Gallery
from leccr.gallery.query_words import words_of_query
from leccr.gallery.store.catalogue import FILE
from leccr.models.encoder import Encoder
from tests.leccr.gallery.tiny_gallery import names_of, paint, run

SAID = {
    "a.png": "Two dogs run on the Sandstrand",
    "b.png": "一只狗在雪地里跑",
    "c.png": "a cat sleeps",
    "d.png": "a red car with the number 7 on it",
    "e.png": "a car, red and blue",
    "holiday/IMG_0042.png": None,
}


@pytest.fixture(scope="module")
def folder(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with described `photos` and the `gallery` that `leccr index` makes of them."""
    folder = tmp_path_factory.mktemp("words")
    for number, name in enumerate(SAID):
        paint(folder / "photos" / name, number)
    records = [{"id": name, "description": text} for name, text in SAID.items() if text]
    (folder / "photos" / "descriptions.jsonl").write_text("\n".join(map(json.dumps, records)))
    assert run("index", folder / "photos", "--model", model, "--out", folder / "gallery").exit_code == 0
    return folder


@pytest.fixture
def gallery(folder: Path, encoder: Encoder) -> Gallery:
    return Gallery.open(folder / "gallery", encoder)


@pytest.mark.parametrize(
    ("query", "text", "required", "terms"),
    [
        ("a dog", "a dog", [], {"a": " a ", "dog": " dog"}),
        ('the "red car" there', "the red car there", [" red car "], {"the": " the", "there": "there"}),
        ("“Red” „CAR“", "Red CAR", [" red ", " car "], {}),
        ('"雪地"里的狗', "雪地 里的狗", [" 雪 地 "], {"里的": " 里 的 ", "的狗": " 的 狗 "}),
        ("狗", "狗", [], {"狗": " 狗 "}),
        ("TV 雪", "TV 雪", [], {"tv": " tv ", "雪": " 雪 "}),
        ('5" screen', '5" screen', [], {"5": " 5 ", "screen": "screen"}),
        ('"" a', '"" a', [], {"a": " a "}),
        ("Strand", "Strand", [], {"strand": "strand"}),
    ],
)
def test_words_of_a_query(query: str, text: str, required: list[str], terms: dict[str, str]) -> None:
    found = words_of_query(query)
    assert (found.text, list(found.required), dict(found.terms)) == (text, required, terms)


def test_a_long_query_has_few_terms() -> None:
    assert len(words_of_query(" ".join(map(str, range(1000)))).terms) == 64


@pytest.mark.parametrize(
    ("query", "best", "words"),
    [
        ("dog", "a.png", ("dog",)),
        ("strand", "a.png", ("strand",)),
        ("雪地", "b.png", ("雪地",)),
        ("狗", "b.png", ("狗",)),
        ("7", "d.png", ("7",)),
        ("0042", "holiday/IMG_0042.png", ("0042",)),
    ],
)
@pytest.mark.filterwarnings("ignore::leccr.gallery.results.UnreadableQueryWarning")
def test_what_words_find_comes_first(gallery: Gallery, query: str, best: str, words: tuple[str, ...]) -> None:
    first, *others = gallery.search(query, words=1.0)
    assert (first.id, first.words) == (best, words)
    assert {result.words for result in others} == {()} and len(others) == 5
    # All others are as without words.
    assert names_of(others) == [name for name in names_of(gallery.search(query, words=0.0)) if name != best]


def test_some_of_a_query_s_words_lift_nothing(gallery: Gallery) -> None:
    """No picture has both a dog and the number 7, so that the vectors decide."""
    assert names_of(gallery.search("dog 7", words=1.0)) == names_of(gallery.search("dog 7", words=0.0))


@pytest.mark.filterwarnings("ignore::leccr.gallery.results.UnreadableQueryWarning")
def test_what_is_named_is_among_the_first_two_by_default(gallery: Gallery) -> None:
    assert "holiday/IMG_0042.png" in names_of(gallery.search("0042", 2))


def test_reciprocal_ranks_are_added(gallery: Gallery) -> None:
    """The two pictures of red cars are ranked by the rule, from their ranks by vectors and by words."""
    seen = names_of(gallery.search("red car", words=0.0))
    # BM25 prefers the shorter text, and both have both words.
    points = {name: 0.6 / (61 + rank) for rank, name in enumerate(seen)}
    points["e.png"] += 0.4 / 61
    points["d.png"] += 0.4 / 62
    together = gallery.search("red car", words=0.4)
    assert names_of(together) == sorted(seen, key=lambda name: -points[name])
    assert names_of(gallery.search("red car", 3, words=0.4)) == names_of(together)[:3]
    scores = {result.id: result.score for result in gallery.search("red car", words=0.0)}
    assert {result.id: result.score for result in together} == scores
    assert [result.rank for result in together] == [1, 2, 3, 4, 5, 6]


@pytest.mark.filterwarnings("ignore::leccr.gallery.results.UnreadableQueryWarning")
@pytest.mark.parametrize("query", ["zebra", "png", "quartz 象"])
def test_words_that_tell_nothing_change_nothing(gallery: Gallery, query: str) -> None:
    assert gallery.search(query, words=1.0) == gallery.search(query, words=0.0)
    with_words, without = gallery.search([query, "dog"], words=1.0), gallery.search([query, "dog"], words=0.0)
    assert with_words[0] == without[0] and with_words[1] != without[1]


def test_embeddings_have_no_words(gallery: Gallery) -> None:
    embed = gallery.encoder.texts(["red car"])[0]
    assert gallery.search(embed, words=1.0) == gallery.search(embed, words=0.0)


@pytest.mark.filterwarnings("ignore::leccr.gallery.results.UnreadableQueryWarning")
@pytest.mark.parametrize("weight", [0.0, 0.3])
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('"red car"', "d.png"),
        ('a "CAR"', "d.png e.png"),
        ('"car" "blue"', "e.png"),
        ('"雪地"', "b.png"),
        ('"狗" 7', "b.png"),
        ('"holiday"', "holiday/IMG_0042.png"),
        ('"dog"', ""),
        ('"red cat"', ""),
        ('"at s"', ""),
    ],
)
def test_words_in_quotes_must_occur(gallery: Gallery, query: str, expected: str, weight: float) -> None:
    assert set(names_of(gallery.search(query, words=weight))) == set(expected.split())


def test_quotes_and_filters(gallery: Gallery) -> None:
    assert names_of(gallery.search('"car"', where="path~d.png")) == ["d.png"]
    assert gallery.search('"car"', where="path~a.png") == []
    assert names_of(gallery.search('"car"', 1)) == names_of(gallery.search('"car"'))[:1]
    # The model reads what is in the quotes.
    scores = {result.id: result.score for result in gallery.search("red car")}
    assert [result.score for result in gallery.search('"red car"')] == [scores["d.png"]]


@pytest.mark.parametrize("weight", [-0.1, 1.5, float("nan")])
def test_a_weight_that_makes_no_sense(gallery: Gallery, weight: float) -> None:
    with pytest.raises(UserError, match="has to be from 0 to 1"):
        gallery.search("dog", words=weight)


def test_the_command_line(folder: Path) -> None:
    found = run("search", folder / "gallery", "dog", "--words", 1, "-k", 1)
    assert found.exit_code == 0, found.output
    assert "a.png" in found.stdout and ", dog  " in found.stdout and "speak for the answer" in found.stderr
    [line] = json.loads(run("search", folder / "gallery", "dog", "--words", 1, "-k", 1, "--json").stdout)["results"]
    assert (line["id"], line["words"]) == ("a.png", ["dog"])
    nothing = run("search", folder / "gallery", '"red cat"', "--filter", "path~png")
    assert (nothing.exit_code, nothing.stdout) == (0, "")
    assert nothing.stderr == 'No item matches "red cat" and the filter path~png.\n'
    assert run("search", folder / "gallery", "dog", "--words", 2).exit_code == 2


def test_the_prompt(folder: Path) -> None:
    lines = 'dog\n:words 1\ndog\n"red car"\n"red cat"\n:words much\n:words\n'
    found = run("search", folder / "gallery", "-k", 1, input=lines)
    assert "The weight of words is a number from 0 to 1, and not 'much'." in found.stderr
    dog, cars = found.stdout.split("\ndog\n")[2].split('\n"red car"\n')
    assert "a.png" in dog and "d.png" in cars and 'No item matches "red cat".' in cars


def test_words_follow_the_gallery(folder: Path, encoder: Encoder, tmp_path: Path) -> None:
    paint(tmp_path / "p" / "first.png", 1)
    for number in range(3):
        paint(tmp_path / "p" / f"{number}.png", 2 + number)
    with Gallery.build(tmp_path / "p", encoder, tmp_path / "g") as gallery:
        assert names_of(gallery.search('"first"')) == ["first.png"]
        (tmp_path / "p" / "descriptions.jsonl").write_text(json.dumps({"id": "0.png", "description": "new words"}))
        gallery.add(tmp_path / "p")
        assert names_of(gallery.search('"new words"')) == ["0.png"]
        gallery.remove(["first.png"])
        assert gallery.search('"first"') == []
        gallery.convert(store="fp16")
        assert names_of(gallery.search('"new words"')) == ["0.png"]
        assert gallery.check().problems == []


@pytest.mark.parametrize(
    "damage", ["DELETE FROM words WHERE rowid = 1", "DELETE FROM words_data", "UPDATE words_content SET c0 = 'x'"]
)
def test_a_damaged_index_is_repaired(folder: Path, encoder: Encoder, tmp_path: Path, damage: str) -> None:
    for number in range(3):
        paint(tmp_path / "p" / f"{number}.png", number)
    with Gallery.build(tmp_path / "p", encoder, tmp_path / "g") as gallery:
        with sqlite3.connect(tmp_path / "g" / FILE) as connection:
            connection.execute(damage)
        connection.close()
        assert gallery.check(repair=True).repaired == ["The index of words does not agree with the items."]
        assert gallery.check(repair=True).repaired == gallery.check().problems == []
        assert names_of(gallery.search('"0"')) == ["0.png"]


def test_words_cost_nothing_where_an_index_is_approximate(folder: Path, encoder: Encoder, tmp_path: Path) -> None:
    for number in range(40):
        paint(tmp_path / "p" / f"{number}.png", number)
    with Gallery.build(tmp_path / "p", encoder, tmp_path / "g", ann="hnsw") as gallery:
        assert gallery.search("zebra", 5, words=1.0) == gallery.search("zebra", 5, words=0.0)
        found = gallery.search("7", 5, words=1.0)
        assert found[0].id == "7.png" and np.isfinite([result.score for result in found]).all()


def test_what_most_descriptions_have_says_nothing_where_others_have_none(encoder: Encoder, tmp_path: Path) -> None:
    said = ("a dog on a beach", "a cat", "a car", "red houses")
    for number in range(9):
        paint(tmp_path / "photos" / f"beach-{number}.png", number)
    records = [{"id": f"beach-{number}.png", "description": text} for number, text in enumerate(said)]
    (tmp_path / "photos" / "descriptions.jsonl").write_text("\n".join(map(json.dumps, records)))
    gallery = Gallery.build(tmp_path / "photos", encoder, tmp_path / "gallery")
    found = gallery.search("a dog", 9)
    assert {result.path: result.words for result in found if result.words} == {"beach-0.png": ("dog",)}
