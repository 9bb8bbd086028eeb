import io
import json
from pathlib import Path

import pytest
from PIL import Image as PillowImage

from leccr.demo.searcher import GallerySearcher
from leccr.demo.space import space
from leccr.gallery import Gallery
from tests.leccr.gallery import films
from tests.leccr.gallery.tiny_gallery import description, encoder, paint

QUERY = description("green")


@pytest.fixture(scope="module")
def searcher(folder: Path) -> GallerySearcher:
    return GallerySearcher(Gallery.open(folder / "gallery"))


def test_a_gallery_answers_the_space_as_it_answers_everybody(searcher: GallerySearcher) -> None:
    found, expected = searcher.search(QUERY, 4), searcher.gallery.search(QUERY, 4, folded=True)
    assert len(searcher) == 6
    for shown, result in zip(found, expected, strict=True):
        assert (shown.rank, shown.score, shown.name) == (result.rank, result.score, result.path)
        assert shown.confidence == result.confidence is not None
        assert f"slot {shown.answered_by}" == result.answered_by and shown.description == result.description
        assert shown.picture.startswith(f"pictures/{shown.id}/small")


def test_near_duplicates_are_shown_where_they_are_asked_for(folder: Path, tmp_path: Path) -> None:
    for number in range(40):
        paint(tmp_path / "photos" / f"{number}.png", number)
    (tmp_path / "photos" / "copy.png").write_bytes((tmp_path / "photos" / "7.png").read_bytes())
    Gallery.build(tmp_path / "photos", str(folder / "model"), tmp_path / "gallery").close()
    shown = GallerySearcher(Gallery.open(tmp_path / "gallery"))
    best, every = shown.search(QUERY, 99), shown.search(QUERY, 99, space("filters").Filters(alike=True))
    assert shown.facets().has_duplicates and len(every) == 41
    assert len(best) + sum(hit.alike for hit in best) == 41 and sum(hit.alike for hit in best) >= 1
    assert len({"7.png", "copy.png"} & {hit.name for hit in best}) <= 1


def test_filters_are_those_of_the_gallery(searcher: GallerySearcher) -> None:
    found = searcher.search(QUERY, 9, space("filters").Filters(folder="holiday"))
    expected = searcher.gallery.search(QUERY, 9, "path>=holiday/ and path<holiday0", folded=True)
    assert [hit.name for hit in found] == [result.path for result in expected] and found


def test_explanations_agree_with_the_gallery(searcher: GallerySearcher) -> None:
    for shown in searcher.search(QUERY, 6):
        why = searcher.explain(shown.id, QUERY)
        assert why.score == pytest.approx(shown.score, abs=1e-5)
        assert (why.answered_by, why.description, why.name) == (shown.answered_by, shown.description, shown.name)
        assert all(slot.overlay for slot in why.slots)


def test_words_of_a_query_are_named_and_quotes_are_not_read(searcher: GallerySearcher) -> None:
    [first, *_] = searcher.search('"green"', 6)
    assert searcher.explain(first.id, '"green"').score == pytest.approx(first.score, abs=1e-5)
    expected = [result.words for result in searcher.gallery.search(QUERY, 4, folded=True)]
    assert [hit.words for hit in searcher.search(QUERY, 4)] == expected and any(expected)


def test_more_like_leaves_the_item_itself_out(searcher: GallerySearcher) -> None:
    first = searcher.search(QUERY, 1)[0]
    found = searcher.more_like(first.id, 3)
    assert len(found) == 3 and first.id not in [shown.id for shown in found]


@pytest.mark.parametrize("id", ["999", "", "-1", "1 OR 1=1", "٣", "9" * 40])
def test_an_unknown_item_is_said(searcher: GallerySearcher, id: str) -> None:
    with pytest.raises(space("errors").SpaceError, match="no picture with this id"):
        searcher.explain(id, QUERY)


def test_an_item_whose_file_is_gone_is_explained_by_its_thumbnail(folder: Path, tmp_path: Path) -> None:
    only = paint(tmp_path / "photos" / "a.png", 1)
    Gallery.build(tmp_path / "photos", str(folder / "model"), tmp_path / "gallery").close()
    searcher = GallerySearcher(Gallery.open(tmp_path / "gallery"))
    [shown] = searcher.search(QUERY, 1)
    only.unlink()
    assert searcher.explain(shown.id, QUERY).score == pytest.approx(shown.score, abs=0.1)


@pytest.mark.parametrize("slots", ["of a dual encoder", "of a network"])
def test_sentences_are_slots_that_explain_the_score(slots: str, tmp_path: Path) -> None:
    sentences = ["This is green de 1.", "This is navy 1."]
    for number in range(3):
        paint(tmp_path / "photos" / f"{number}.png", number)
    records = [{"id": "0.png", "description": " ".join(sentences)}, {"id": "1.png", "description": sentences[1]}]
    (tmp_path / "photos" / "descriptions.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in records))
    model, options = encoder(num_slots=0), {"description_weight": 0.4}
    if slots == "of a network":
        model, options = encoder(slot_source="sentences"), {}
    gallery = Gallery.build(tmp_path / "photos", model, tmp_path / "gallery", **options)
    searcher = GallerySearcher(gallery)
    for shown in searcher.search(QUERY, 3):
        why = searcher.explain(shown.id, QUERY)
        assert why.score == pytest.approx(shown.score, abs=1e-5)
        if shown.name == "2.png":
            assert shown.answered_by is None
            continue
        assert why.answered_by == shown.answered_by
        own = sentences if shown.name == "0.png" else sentences[1:]
        assert [slot.words for slot in why.slots] == [[(sentence, 1.0)] for sentence in own]
    assert "a slot for each sentence" in searcher.retriever.slot_words


def test_a_long_video_is_shown_once_and_answers_with_its_moment(tmp_path: Path) -> None:
    films.film(tmp_path / "videos" / "clip.mp4")
    searcher = GallerySearcher(Gallery.build(tmp_path / "videos", films.model(), tmp_path / "gallery"))
    [shown] = searcher.browse(9)
    assert (shown.kind, shown.start) == ("video", None) and len(searcher) == 1
    [answer] = searcher.search("en red 1", 9)
    assert (answer.start, answer.end) in films.TIMES
    assert searcher.explain(answer.id, "en red 1").score == pytest.approx(answer.score, abs=1e-5)
    label = films.LABELS[films.TIMES.index((answer.start, answer.end))]
    assert dict(searcher.facts(answer.id))["Shot"] == label
    scene = films.SCENES[films.TIMES.index((answer.start, answer.end))]
    with PillowImage.open(io.BytesIO(searcher.small(answer.id))) as picture:
        assert films.colour(picture) == scene
    assert searcher.choose([answer.id])[0].start == answer.start


def test_a_model_of_pictures_explains_a_moment(tmp_path: Path) -> None:
    films.film(tmp_path / "videos" / "clip.mp4")
    paint(tmp_path / "videos" / "a.png", 1)
    searcher = GallerySearcher(Gallery.build(tmp_path / "videos", encoder(), tmp_path / "gallery"))
    [answer] = [hit for hit in searcher.search("en red 1", 3) if hit.kind == "video"]
    assert [hit.name for hit in searcher.more_like(answer.id, 3)] == ["a.png"], "no other shot of the same video"
    assert searcher.explain(answer.id, "en red 1") is not None
