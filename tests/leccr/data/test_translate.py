import json
from pathlib import Path
from typing import Any

import pytest

from hub_card.data_facts import DataFacts
from leccr.data.facts import write_facts
from leccr.errors import UserError
from processing.generation.write_back import rewrite_column
from processing.storage import read_column, read_splits
from tests.crashes import crashes, needs_forks, stop_before
from tests.processing.generation.chat_server import ChatServer, Reply, question_of
from tests.processing.generation.tiny_models import build_marian, build_nllb

from ..generation_data import build_data, translate


@pytest.fixture(scope="module")
def nllb(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(build_nllb(tmp_path_factory.mktemp("models") / "tiny-nllb"))


@pytest.fixture(scope="module")
def options(nllb: str) -> dict[str, Any]:
    return {"model": nllb, "targets": ["de", "zh"], "batch_size": 4, "device": "cpu", "beams": 2, "max_new_tokens": 16}


def added(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the machine translations by row."""
    names, captions = read_column(folder, "id"), read_column(folder, "target_captions")
    return {
        name: [caption for caption in its_captions if caption["origin"] != "human"]
        for split in names
        for name, its_captions in zip(names[split], captions[split])
    }


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@needs_forks
def test_a_killed_run_goes_on_to_the_same_files(tmp_path: Path, options: dict[str, Any]) -> None:
    whole = build_data(tmp_path / "whole", rows=20)
    translate(str(whole), **options, back_translate=True)
    made = records(whole / "translations.jsonl")
    assert [record["id"] for record in made] == [f"p{number:02}" for number in range(20) for _ in range(4)]
    assert [(record["language"], record["source_number"]) for record in made[:4]] == [
        ("de", 0),
        ("de", 1),
        ("zh", 0),
        ("zh", 1),
    ]
    assert len({record["text"] for record in made}) > 10
    assert any(record["problems"] for record in made)

    options = {**options, "back_translate": True}
    # Step 1 opens the journal, and each of the next ones adds a batch of four captions.
    killed = stop_before(7, build_data(tmp_path / "killed", rows=20), translate, **options)
    assert (killed / "translations.jsonl").read_bytes().count(b"\n{") == 20
    assert not any(added(killed).values())
    translate(str(killed), **options)
    for name in ("translations.jsonl", "back_translations.jsonl"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()
    assert added(killed) == added(whole)


@needs_forks
def test_a_run_that_is_stopped_anywhere_goes_on_to_the_same_files(tmp_path: Path) -> None:
    start = build_data(tmp_path / "start", rows=2)
    with ChatServer(lambda number, payload: Reply(f"Satz {question_of(payload)[-40:]}")) as server:
        options = {"model": "tiny", "endpoint": server.url, "targets": ["de"], "back_translate": True, "requests": 2}
        whole = build_data(tmp_path / "whole", rows=2)
        translate(str(whole), **options)
        expected = added(whole)
        assert all(expected.values())
        for folder in crashes(start, tmp_path / "data", translate, **options):
            left = added(folder)
            assert all(captions in ([], expected[name]) for name, captions in left.items())
            translate(str(folder), **options)
            for name in ("translations.jsonl", "back_translations.jsonl"):
                assert (folder / name).read_bytes() == (whole / name).read_bytes()
            assert added(folder) == expected


def test_captions_have_their_source_their_system_and_their_weight(tmp_path: Path, options: dict[str, Any]) -> None:
    data = build_data(tmp_path / "data", rows=12)
    human = read_splits(data)["train"]["target_captions"][:]
    translate(str(data), **options)
    assert [captions[:1] for captions in read_splits(data)["train"]["target_captions"]] == human
    made = {(r["id"], r["source_number"], r["language"]): r["text"] for r in records(data / "translations.jsonl")}
    found = {
        (name, caption["source_number"], caption["language"]): caption["text"]
        for name, captions in added(data).items()
        for caption in captions
    }
    assert found == {key: text for key, text in made.items() if text is not None}
    assert {(c["origin"], c["weight"]) for captions in added(data).values() for c in captions} == {
        ("machine:tiny-nllb", None)
    }

    translate(str(data), **options, back_translate=True)
    scores = {
        (r["id"], r["source_number"], r["language"]): r.get("chrf", 0.0)
        for r in records(data / "back_translations.jsonl")
    }
    assert len(set(scores.values())) > 2
    for name, captions in added(data).items():
        for caption in captions:
            score = scores[name, caption["source_number"], caption["language"]]
            assert caption["weight"] == pytest.approx(score / 100, abs=1e-6)


def test_captions_below_the_threshold_are_left_out_and_come_back(
    tmp_path: Path, options: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    data = build_data(tmp_path / "data", rows=12)
    translate(str(data), **options, back_translate=True)
    before = added(data)
    weights = sorted(caption["weight"] for captions in before.values() for caption in captions)
    least = (weights[0] + weights[-1]) / 2
    assert weights[0] < least < weights[-1]
    capsys.readouterr()
    translate(str(data), **options, back_translate=True, min_weight=least)
    assert added(data) == {
        name: [caption for caption in captions if caption["weight"] >= least] for name, captions in before.items()
    }
    left_out = sum(weight < least for weight in weights)
    assert f"Left out {left_out} captions whose weight is below {least:g}." in capsys.readouterr().out
    translate(str(data), **options, back_translate=True)
    assert added(data) == before


def test_systems_and_languages_add_up_in_a_copy(tmp_path: Path, options: dict[str, Any]) -> None:
    data, copy = build_data(tmp_path / "data", rows=8), tmp_path / "copy"
    marian = str(build_marian(tmp_path / "opus-mt-en-de"))
    for _ in range(2):
        translate(str(data), **{**options, "targets": ["zh"]}, output=copy)
        translate(str(copy), **{**options, "targets": ["de"], "model": marian}, system="opus")
    assert not any(added(data).values())
    origins = {(caption["language"], caption["origin"]) for captions in added(copy).values() for caption in captions}
    assert origins == {("zh", "machine:tiny-nllb"), ("de", "machine:opus")}
    for captions in added(copy).values():
        assert len({(caption["origin"], caption["source_number"]) for caption in captions}) == len(captions)


def test_only_the_splits_that_are_named(tmp_path: Path, options: dict[str, Any]) -> None:
    data = build_data(tmp_path / "data", rows=8)
    with pytest.raises(UserError, match="data has no split val; it has train, test"):
        translate(str(data), **options, splits=["val"], output=tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    translate(str(data), **options, splits=["train"])
    assert {name for name, captions in added(data).items() if captions} == {"p00", "p01"}
    translate(str(data), **options)
    before = added(data)
    translate(str(data), **options, splits=["train"])
    assert added(data) == before and all(before.values())


def test_restarting_discards_this_system_and_these_languages_only(tmp_path: Path, options: dict[str, Any]) -> None:
    data = build_data(tmp_path / "data", rows=8)
    translate(str(data), **options)
    with pytest.raises(ValueError, match="started with beams 2, not 1"):
        translate(str(data), **{**options, "beams": 1})
    translate(str(data), **{**options, "beams": 1, "targets": ["de"]}, restart=True)
    beams = {(record["language"], record["settings"]["beams"]) for record in records(data / "translations.jsonl")}
    assert beams == {("de", 1), ("zh", 2)}


def test_an_endpoint_translates_there_and_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = build_data(tmp_path / "data", rows=8)
    write_facts(data, DataFacts("Mine", "folder", "As you like."))

    def reply(number: int, payload: dict[str, Any]) -> Reply:
        if number % 4 == 0:
            return Reply(status=500)
        instruction, _, text = question_of(payload).partition("\n\n")
        return Reply(text.upper() if "into German" in instruction else text.lower())

    with ChatServer(reply) as server:
        translate(str(data), targets=["de"], model="org/large", endpoint=server.url, requests=3, back_translate=True)
    for rows in read_splits(data).values():
        for row in rows:
            made = [caption for caption in row["target_captions"] if caption["origin"] == "machine:large"]
            assert [caption["text"] for caption in made] == [text.upper() for text in row["source_captions"]]
            assert {caption["weight"] for caption in made} == {1.0}
    card = (data / "README.md").read_text()
    assert "translated by `org/large` into de, weighted by" in card and "de machine:large" in card
    assert "Translated 16 captions back, with a mean chrF of 100.0" in capsys.readouterr().out


def test_what_an_endpoint_failed_on_is_told_in_the_end(tmp_path: Path) -> None:
    data = build_data(tmp_path / "data", rows=8)
    with (
        ChatServer(lambda number, payload: Reply("Ein Hund.", 400 if number == 3 else 200)) as server,
        pytest.raises(UserError, match="The endpoint failed on 1 captions"),
    ):
        translate(str(data), targets=["de"], model="large", endpoint=server.url)
    assert sum(map(len, added(data).values())) == 15


def test_a_changed_caption_never_gets_its_old_translation(tmp_path: Path) -> None:
    data = build_data(tmp_path / "data", rows=8)
    with ChatServer(lambda number, payload: Reply(question_of(payload).rpartition("\n")[2].upper())) as server:
        translate(str(data), targets=["de"], model="large", endpoint=server.url, back_translate=True)
    rewrite_column(
        data, "source_captions", ["id", "source_captions"], lambda row: [row["id"], row["source_captions"][1]]
    )
    with (
        ChatServer(lambda number, payload: Reply("no", 400)) as server,
        pytest.raises(UserError, match="The endpoint failed on 8 captions"),
    ):
        translate(str(data), targets=["de"], model="large", endpoint=server.url, back_translate=True)
    assert [[caption["source_number"] for caption in captions] for captions in added(data).values()] == [[1]] * 8


def test_an_impossible_way_back_is_told_before_the_way_there(tmp_path: Path) -> None:
    data = build_data(tmp_path / "data", rows=8)
    model, back = str(build_marian(tmp_path / "en-de")), str(build_marian(tmp_path / "de-en", (), "de", "en"))
    options: dict[str, Any] = {"targets": ["de"], "model": model, "device": "cpu", "max_new_tokens": 16}
    with pytest.raises(ValueError, match="translates from en, not de; .* --back-model"):
        translate(str(data), **options, back_translate=True)
    assert not (data / "translations.jsonl").exists()
    translate(str(data), **options, back_translate=True, back_model=back)
    assert {record["settings"]["model"] for record in records(data / "back_translations.jsonl")} == {back}


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"targets": []}, UserError, "Say which languages"),
        ({"targets": ["en"]}, UserError, "has no captions to translate into en"),
        ({"targets": ["xx"]}, ValueError, "There is no language xx"),
        ({"min_weight": 0.5}, UserError, "add --back-translate"),
        ({"back_model": "m"}, UserError, "add --back-translate"),
    ],
)
def test_bad_input_is_named_and_changes_nothing(
    tmp_path: Path, options: dict[str, Any], changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    data = build_data(tmp_path / "data", rows=8)
    with pytest.raises(error, match=message):
        translate(str(data), **{**options, **changes})
    assert not any(added(data).values())
