import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leccr.errors import UserError
from leccr.gallery import Gallery
from leccr.models.encoder import Encoder
from leccr.models.reranker import Reranker, Shown
from tests.leccr.gallery import films
from tests.leccr.gallery.films import colour, film
from tests.leccr.gallery.tiny_gallery import names_of, paint, run
from tests.leccr.models.tiny_rerankers import build_blip

QUERY = "en red 1"


class Fake(Reranker):
    """Scores answers by a function of what it sees."""

    def __init__(self, score: Any) -> None:
        super().__init__("fake")
        self.score = score
        self.seen: list[Shown] = []

    def _scores(self, query: str, shown: Any) -> list[float]:
        self.seen += shown
        self.calls += 1
        return [self.score(each) for each in shown]


@pytest.fixture(scope="module")
def blip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_blip(tmp_path_factory.mktemp("blip") / "blip")


def brightness(shown: Shown) -> float:
    assert shown.picture is not None
    return float(np.asarray(shown.picture.convert("L")).mean())


def test_the_first_are_in_the_order_of_the_reranker(
    gallery: Gallery, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = gallery.search(QUERY, 12)
    reranker = Fake(brightness)
    found = gallery.search(QUERY, 12, rerank_with=reranker)
    again = [each.reranked or 0.0 for each in found]
    assert again == sorted(again, reverse=True) and len(reranker.seen) == 12
    assert [each.rank for each in found] == [*range(1, 13)] and {*names_of(found)} == {*names_of(plain)}
    scores = {each.id: each.score for each in plain}
    assert all(scores[each.id] == each.score for each in found), "the model's own score stays"
    assert names_of(gallery.search(QUERY, 2, rerank_with=Fake(brightness))) == names_of(found)[:2], (
        "also the later ones of the first are looked at"
    )
    monkeypatch.setattr("leccr.gallery.gallery.RERANKED", 4)
    some = gallery.search(QUERY, 12, rerank_with=Fake(brightness))
    assert {*names_of(some[:4])} == {*names_of(plain[:4])} and names_of(some[4:]) == names_of(plain[4:])
    assert [each.reranked is None for each in some] == [False] * 4 + [True] * 8


def test_equal_scores_change_nothing(gallery: Gallery) -> None:
    assert names_of(gallery.search(QUERY, 12, rerank_with=Fake(lambda shown: 0.5))) == names_of(
        gallery.search(QUERY, 12)
    )


def test_on_the_command_line(built: Path, blip: Path) -> None:
    result = run("search", built / "gallery", QUERY, "-k", 3, "--rerank-with", blip)
    assert result.exit_code == 0, result.output
    assert result.stdout.split()[:3] == ["rank", "reranked", "score"] and len(result.stdout.splitlines()) == 4
    assert f"{blip} scored 12 answers again: 2 calls, " in result.stderr and " s an answer." in result.stderr
    lines = run("search", built / "gallery", "-k", 3, "--json", "--rerank-with", blip, input=f"{QUERY}\nde blue 1\n")
    first, second = (json.loads(line)["results"] for line in lines.stdout.splitlines())
    assert lines.stderr.count("scored 12 answers again") == 2
    expected = Gallery.open(built / "gallery").search(QUERY, 3, rerank_with=str(blip))
    assert [each["id"] for each in first] == names_of(expected) and second != first
    assert [each["reranked"] for each in first] == pytest.approx([each.reranked for each in expected], abs=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--image", "{photos}/green1.png", "--rerank-with", "{blip}"), "scores answers to a text, and not to --image"),
        ((QUERY, "--rerank-endpoint", "http://localhost:1"), "--rerank-endpoint runs the model of --rerank-with"),
        ((QUERY, "--rerank-with", "{photos}"), "{photos}"),
    ],
)
def test_what_cannot_be_reranked_is_one_line(built: Path, blip: Path, options: Any, message: str) -> None:
    names = {"photos": built / "photos", "blip": blip}
    result = run("search", built / "gallery", *(option.format(**names) for option in options))
    assert result.exit_code == 2 and message.format(**names) in " ".join(result.stderr.split()), result.output


def test_undefined_numbers_are_one_line(gallery: Gallery) -> None:
    message = r"The reranker fake returns infinite or undefined numbers \(NaN\) for 12 of 12 answers"
    with pytest.raises(UserError, match=message):
        gallery.search(QUERY, 3, rerank_with=Fake(lambda shown: float("nan")))
    with pytest.raises(UserError, match="Answers to pictures and embeddings cannot be reranked"):
        gallery.search(np.ones(gallery.state.width), 3, rerank_with=Fake(brightness))


def test_of_a_file_that_is_gone_the_thumbnail_is_seen(tmp_path: Path, encoder: Encoder) -> None:
    for number in range(3):
        paint(tmp_path / "p" / f"{number}.png", number, (900, 700))
    with Gallery.build(tmp_path / "p", encoder, tmp_path / "g") as gallery:
        (tmp_path / "p" / "1.png").unlink()
        (tmp_path / "p" / "2.png").write_text("broken")
        with gallery.catalogue.writing() as connection:
            connection.execute("UPDATE items SET path = '../3.png' WHERE id = '0.png'")
        reranker = Fake(brightness)
        found = gallery.search(QUERY, 3, rerank_with=reranker)
        assert sorted(each.picture is not None and max(each.picture.size) < 900 for each in reranker.seen) == [True] * 2
        assert found[-1].id == "2.png" and found[-1].reranked is None, "nothing is seen of it"


def test_of_a_shot_its_own_frame_is_seen(tmp_path: Path) -> None:
    film(tmp_path / "v" / "clip.mp4")
    with Gallery.build(tmp_path / "v", films.model(), tmp_path / "g") as gallery:
        reranker = Fake(lambda shown: colour(shown.picture) == "blue")
        found = gallery.search(QUERY, 3, all_moments=True, rerank_with=reranker)
        assert found[0].label == "clip.mp4 at 0:08–0:17"
        assert sorted(colour(each.picture) for each in reranker.seen if each.picture) == ["blue", "green", "red"]
