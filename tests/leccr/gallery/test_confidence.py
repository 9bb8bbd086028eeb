import dataclasses
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leccr.errors import UserError
from leccr.gallery import Gallery, confidence
from leccr.gallery.confidence import guess_language, unrelated_captions
from leccr.gallery.store.catalogue import read_state, write_state
from leccr.models.calibration import Calibration, Logistic
from leccr.models.encoder import Encoder
from leccr.models.sentence_views import SentenceViews
from tests.leccr.gallery import tiny_gallery
from tests.leccr.gallery.tiny_gallery import run

QUERY = "de red 1"
# Sure from the score 0.2 on, and for German from 0.4 on.
CALIBRATION = Calibration(Logistic(20.0, -4.0, 8), {"de": Logistic(20.0, -8.0, 4), "zh": Logistic(1.0, 0.0, 4)}, 3)


@pytest.fixture
def calibrated(folder: Path, encoder: Encoder) -> Iterator[Gallery]:
    encoder.calibration = CALIBRATION
    yield Gallery.open(folder, encoder)
    encoder.calibration = None


def change_state(gallery: Gallery, **fields: Any) -> None:
    with gallery.catalogue.writing() as connection:
        state = read_state(connection, "g")
        write_state(connection, dataclasses.replace(state, version=state.version + 1, **fields))


class TestWithoutLabels:
    def test_the_state_has_the_best_score_of_each_unrelated_caption(self, gallery: Gallery, encoder: Encoder) -> None:
        unrelated = gallery.state.unrelated
        views = np.concatenate(tiny_gallery.stored_views(gallery))
        assert unrelated is not None and unrelated.keys() == unrelated_captions().keys()
        for language, texts in unrelated_captions().items():
            best = (encoder.texts(texts) @ views.T).max(axis=1)
            assert unrelated[language] == pytest.approx(sorted(best.tolist()), abs=1e-6)

    def test_a_confidence_is_the_share_of_unrelated_captions_below(self, gallery: Gallery) -> None:
        own = [result.score for result in gallery.search(QUERY, 12, words=0)]
        change_state(gallery, unrelated={"de": (own[1], own[5], own[8]), "fr": (own[0] - 1e-3,)})
        found = [result.confidence for result in gallery.search(QUERY, 12, words=0)]
        # The best beats all four, and the second is one of them itself.
        assert found[:2] == [1.0, 0.5] and found == sorted(found, reverse=True) and found[-1] == 0

    def test_it_is_compared_with_its_own_language(self, gallery: Gallery) -> None:
        change_state(gallery, unrelated={"de": (-1e9,), "en": (1e9,)})
        for query, expected in (("Ein Hund rennt über die Wiese", 1.0), ("The dog runs along the street", 0.0)):
            assert [result.confidence for result in gallery.search(query, 1)] == [expected]

    def test_what_is_added_counts_and_nothing_else_is_compared_again(self, own: Path) -> None:
        with Gallery.open(own / "gallery") as gallery:
            gallery.add(own / "photos")
            change_state(gallery, unrelated={"de": (5.0,)})
            gallery.add(own / "photos")
            assert gallery.state.unrelated == {"de": (5.0,)}
            tiny_gallery.paint(own / "photos" / "new.png", 99)
            gallery.add(own / "photos")
            found = gallery.state.unrelated
            assert found is not None and found.keys() == unrelated_captions().keys()

    def test_where_nothing_is_known_nothing_is_claimed(self, gallery: Gallery) -> None:
        change_state(gallery, unrelated=None)
        assert {result.confidence for result in gallery.search(QUERY)} == {None}
        with pytest.raises(UserError, match="It is not known how sure these answers are"):
            gallery.search(QUERY, min_confidence=0.0)


class TestCalibrated:
    def test_the_model_says_how_sure_it_is(self, calibrated: Gallery) -> None:
        for query, curve in (
            ("Ein Hund rennt über die Wiese", CALIBRATION.languages["de"]),
            ("q", CALIBRATION.overall),
        ):
            for result in calibrated.search(query, 12):
                unread = calibrated.encoder.unknown_shares([query]) == [1.0]
                expected = 0.0 if unread else float(curve(np.array(result.score)))
                assert result.confidence == pytest.approx(expected)

    def test_a_calibration_for_other_weights_of_descriptions_is_not_used(
        self, calibrated: Gallery, encoder: Encoder
    ) -> None:
        expected = [result.confidence for result in calibrated.search(QUERY)]
        encoder.calibration = dataclasses.replace(CALIBRATION, description_weight=0.2)
        assert [result.confidence for result in calibrated.search(QUERY)] != expected
        plain = tiny_gallery.encoder(num_slots=0, softened_weight=0.0)
        plain.calibration = CALIBRATION
        assert SentenceViews(plain, 0.2).calibration is CALIBRATION

    @pytest.mark.parametrize(
        ("described", "have", "had"),
        [(1.0, "4 of 12 answers have no description", "one"), (0.0, "8 of 12 answers have a description", "none")],
    )
    def test_answers_unlike_the_pictures_of_the_calibration_are_told(
        self, calibrated: Gallery, encoder: Encoder, described: float, have: str, had: str
    ) -> None:
        found = calibrated.search(QUERY, 12)
        encoder.calibration = dataclasses.replace(CALIBRATION, described=described)
        said = confidence.unlike_calibration(found, encoder)
        assert said is not None and said.startswith(f"{have}, but the pictures by which") and f" had {had}, so" in said
        for unknown in ({"described": None}, {"described": described, "description_weight": 0.2}):
            encoder.calibration = dataclasses.replace(CALIBRATION, **unknown)
            assert confidence.unlike_calibration(found, encoder) is None

    def test_answers_below_are_left_out(self, calibrated: Gallery) -> None:
        everything = calibrated.search(QUERY, 12, words=0)
        for least in (0.0, everything[2].confidence, 1.0):
            expected = [result for result in everything if result.confidence >= least]
            assert calibrated.search(QUERY, 12, words=0, min_confidence=least) == expected
            [several] = calibrated.search([QUERY], 12, words=0, min_confidence=least)
            assert several == expected
        assert 3 <= len(calibrated.search(QUERY, 12, words=0, min_confidence=everything[2].confidence)) < 12

    def test_of_what_it_cannot_read_it_is_not_sure(self, calibrated: Gallery) -> None:
        with pytest.warns(UserWarning, match="cannot read"):
            assert {result.confidence for result in calibrated.search("🐶🐶")} == {0.0}


class TestCommand:
    def test_the_table_and_json_have_it(self, built: Path) -> None:
        [best] = Gallery.open(built / "gallery").search(QUERY, 1)
        result = run("search", built / "gallery", QUERY, "-k", 1, "--json")
        assert json.loads(result.stdout)["results"][0]["confidence"] == best.confidence
        table = run("search", built / "gallery", QUERY, "-k", 1)
        assert "confidence: how sure the answer is" in table.stderr

    def test_a_search_says_where_confidences_mean_little(self, own: Path, model: Path, tmp_path: Path) -> None:
        calibrated = shutil.copytree(model, tmp_path / "model")
        fields = dataclasses.replace(CALIBRATION, described=1.0).to_fields()
        (calibrated / "calibration.json").write_text(json.dumps(fields))
        for more in ({"input": f"{QUERY}\n"}, {}):
            query = [] if more else [QUERY]
            result = run("search", own / "gallery", *query, "-k", 12, "--model", calibrated, **more)
            assert "4 of 12 answers have no description, but" in result.stderr

    def test_pictures_as_queries_have_none(self, built: Path) -> None:
        by_picture = ("search", built / "gallery", "--image", built / "photos" / "green1.png")
        assert "confidence" not in run(*by_picture).output
        result = run(*by_picture, "--min-confidence", 0.5)
        assert result.exit_code == 2 and "leave --min-confidence out" in result.stderr

    @pytest.mark.parametrize("asked", ["argument", "file", "input"])
    def test_nothing_fits_is_one_line(self, built: Path, tmp_path: Path, asked: str) -> None:
        query, options = "🐶", ["--min-confidence", 0.01]
        (tmp_path / "queries.txt").write_text(query)
        more = {"argument": [query], "file": ["--queries", tmp_path / "queries.txt"], "input": []}[asked]
        given = {"input": f"{query}\n"} if asked == "input" else {}
        result = run("search", built / "gallery", *more, *options, **given)
        lines = [line for line in result.stdout.splitlines() if line and line != query]
        assert result.exit_code == 0 and len(lines) == 1, result.output
        assert lines[0].startswith("Nothing in this gallery fits; the nearest is ")
        assert lines[0].endswith(".png (confidence 0.00).")
        assert "The model cannot read the query" in result.stderr
        record = json.loads(run("search", built / "gallery", *more, *options, "--json", **given).stdout)
        assert (record["results"], record["unknown"], record["nearest"]["rank"]) == ([], 1, 1)

    def test_what_fits_is_shown_as_without_a_limit(self, built: Path) -> None:
        everything = run("search", built / "gallery", QUERY, "-k", 99, "--min-confidence", 0)
        assert everything.stdout == run("search", built / "gallery", QUERY, "-k", 12).stdout
        # Not all that was asked for is shown, so nothing is said about that.
        assert "were requested" not in everything.stderr

    def test_a_filter_that_leaves_nothing_is_told_as_such(self, built: Path) -> None:
        result = run("search", built / "gallery", QUERY, "--filter", "kind=video", "--min-confidence", 0.9)
        assert (result.stdout, result.stderr) == ("", "No item matches the filter kind=video.\n")

    @pytest.mark.parametrize("value", ["1.5", "-0.1", "nan", "half"])
    def test_what_is_no_confidence_is_one_sentence(self, built: Path, value: str) -> None:
        result = run("search", built / "gallery", QUERY, f"--min-confidence={value}")
        assert result.exit_code == 2 and "--min-confidence" in result.stderr and len(result.stderr.splitlines()) == 1

    def test_nothing_is_drawn_of_what_does_not_fit(self, built: Path, tmp_path: Path) -> None:
        result = run("search", built / "gallery", "🐶", "--min-confidence", 0.5, "--sheet", tmp_path / "a.png")
        assert result.exit_code == 0 and not list(tmp_path.iterdir())


class TestLanguage:
    def test_captions_are_told_apart(self) -> None:
        for language, texts in unrelated_captions().items():
            guesses = [guess_language(text, unrelated_captions()) for text in texts]
            assert len(texts) == 20 and guesses.count(language) >= 18 and set(guesses) <= {language, None}

    def test_short_texts_and_other_languages_are_unsure(self) -> None:
        assert guess_language("Hund", ("en", "de", "fr")) is None
        assert guess_language("Ein Hund rennt", ()) is None and guess_language("Ein Hund rennt", ("xx", "yy")) is None

    def test_without_the_library_no_language_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        confidence._identifier.cache_clear()
        monkeypatch.setitem(sys.modules, "py3langid.langid", None)
        assert guess_language("Ein Hund rennt über die Wiese", ("en", "de")) is None
        confidence._identifier.cache_clear()
