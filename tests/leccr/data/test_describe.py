import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as PillowImage

from hub_card.data_facts import DataFacts
from leccr.data.facts import write_facts
from leccr.errors import UserError
from processing.storage import read_column, read_splits, write_rows
from tests.crashes import crashes, needs_forks, stop_before
from tests.processing.generation.chat_server import ChatServer, Reply, question_of
from tests.processing.generation.tiny_models import build_llava

from ..generation_data import build_data, describe


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("prompts") / "mine.yaml"
    path.write_text("questions: {things: the dog runs, place: near the tree}\nmax_new_tokens: 6\n")
    return str(path)


@pytest.fixture(scope="module")
def options(prompts: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    model = str(build_llava(tmp_path_factory.mktemp("llava")))
    return {"model": model, "prompts": prompts, "batch_size": 2, "device": "cpu", "temperature": 0.8, "seed": 5}


def descriptions(folder: Path) -> dict[str, str | None]:
    names, texts = read_column(folder, "id"), read_column(folder, "description")
    return {name: text for split in names for name, text in zip(names[split], texts[split])}


@needs_forks
def test_a_killed_run_goes_on_to_the_same_file(
    tmp_path: Path, options: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    whole = build_data(tmp_path / "whole")
    describe(str(whole), **options)
    records = [json.loads(line) for line in (whole / "descriptions.jsonl").read_text().splitlines()]
    assert [record["id"] for record in records] == [f"p{number:02}" for number in range(40)]
    assert descriptions(whole) == {record["id"]: record["description"] for record in records}
    assert len({record["description"] for record in records}) > 20
    assert any(record["problems"] for record in records)
    assert "Described " in capsys.readouterr().out

    # Step 1 opens the journal, and each of the next ones adds a batch of two pictures.
    killed = stop_before(6, build_data(tmp_path / "killed"), describe, **options)
    journal = killed / "descriptions.jsonl"
    assert journal.read_bytes().count(b"\n{") == 8
    with journal.open("ab") as stream:
        stream.write(b'{"id": "p')
    assert set(descriptions(killed).values()) == {None}
    describe(str(killed), **options)
    assert journal.read_bytes() == (whole / "descriptions.jsonl").read_bytes()
    assert descriptions(killed) == descriptions(whole)
    bar = re.search(r"Describing: [^|]*\|[^|]*\| (\d+)/40 ", capsys.readouterr().err)
    assert bar and int(bar[1]) == 8


@needs_forks
def test_a_run_that_is_stopped_anywhere_goes_on_to_the_same_file(tmp_path: Path, prompts: str) -> None:
    start = build_data(tmp_path / "start", rows=4)
    reply = lambda number, payload: Reply(f"{question_of(payload)} {width_of(payload)}.")  # noqa: E731
    with ChatServer(reply) as server:
        options = {"model": "tiny", "endpoint": server.url, "prompts": prompts, "requests": 2}
        whole = build_data(tmp_path / "whole", rows=4)
        describe(str(whole), **options)
        expected = descriptions(whole)
        assert None not in expected.values()
        for folder in crashes(start, tmp_path / "data", describe, **options):
            left = descriptions(folder)
            assert all(text in (None, expected[name]) for name, text in left.items())
            describe(str(folder), **options)
            assert (folder / "descriptions.jsonl").read_bytes() == (whole / "descriptions.jsonl").read_bytes()
            assert descriptions(folder) == expected


def test_a_copy_gets_the_descriptions(tmp_path: Path, options: dict[str, Any]) -> None:
    data = build_data(tmp_path / "data", rows=8)
    (data / "README.md").write_text("A card.")
    before = {path.name: path.read_bytes() for path in data.iterdir()}
    describe(str(data), output=tmp_path / "copy", **options)
    assert {path.name: path.read_bytes() for path in data.iterdir()} == before
    assert (tmp_path / "copy" / "README.md").read_text() == "A card."
    assert sum(text is not None for text in descriptions(tmp_path / "copy").values()) > 4
    assert {row["id"]: row["source_captions"] for row in read_splits(tmp_path / "copy")["train"]} == {
        row["id"]: row["source_captions"] for row in read_splits(data)["train"]
    }


def test_restarting_discards_what_other_settings_gave(tmp_path: Path, options: dict[str, Any]) -> None:
    data = build_data(tmp_path / "data", rows=8)
    describe(str(data), **options)
    before = descriptions(data)
    with pytest.raises(ValueError, match="started with seed 5, not 6"):
        describe(str(data), **{**options, "seed": 6})
    assert descriptions(data) == before
    describe(str(data), **{**options, "seed": 6}, restart=True)
    assert descriptions(data) != before


def width_of(payload: dict[str, Any]) -> int:
    address = payload["messages"][0]["content"][0]["image_url"]["url"]
    with PillowImage.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))) as picture:
        return picture.width


def test_an_endpoint_describes_each_picture(
    tmp_path: Path, prompts: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = build_data(tmp_path / "data", rows=9)
    write_facts(data, DataFacts("Mine", "folder", "As you like."))
    monkeypatch.setenv("MY_KEY", "sk-123")

    def reply(number: int, payload: dict[str, Any]) -> Reply:
        if number % 5 == 1:
            return Reply(status=429, headers={"Retry-After": "0.01"})
        refuses = width_of(payload) == 18 and question_of(payload) == "near the tree"
        return Reply("I'm sorry, I can't help." if refuses else f"{question_of(payload)} {width_of(payload)}.")

    with ChatServer(reply) as server:
        describe(str(data), model="tiny", endpoint=server.url, prompts=prompts, requests=3, key_variable="MY_KEY")
    expected = {f"p{number:02}": f"the dog runs {16 + number}.\nnear the tree {16 + number}." for number in range(9)}
    assert descriptions(data) == {**expected, "p02": "the dog runs 18."}
    assert "generated by `tiny`" in (data / "README.md").read_text()
    assert {headers["Authorization"] for headers in server.headers} == {"Bearer sk-123"}
    assert "sk-123" not in (data / "descriptions.jsonl").read_text()
    out = capsys.readouterr().out
    assert "Described 9 pictures; 0 have no description." in out
    assert "first answer was unusable: a refusal (1)." in out and "Left out in the end: a refusal (1)." in out


def test_what_an_endpoint_failed_on_is_told_in_the_end(tmp_path: Path, prompts: str) -> None:
    data = build_data(tmp_path / "data", rows=9)
    with ChatServer(lambda number, payload: Reply("A dog.", 400 if width_of(payload) == 20 else 200)) as server:
        with pytest.raises(UserError, match="The endpoint failed on 1 of 9 pictures"):
            describe(str(data), model="tiny", endpoint=server.url, prompts=prompts)
        assert [name for name, text in descriptions(data).items() if text is None] == ["p04"]
        data = build_data(tmp_path / "others", rows=30)
    with ChatServer(lambda number, payload: Reply("no", 400)) as server:
        with pytest.raises(UserError, match="status 400: .* Run the same command again"):
            describe(str(data), model="tiny", endpoint=server.url, prompts=prompts)
        assert len(server.payloads) < 30


def test_rows_without_a_picture_are_passed_over(
    tmp_path: Path, options: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    data = build_data(tmp_path / "data", rows=8)
    write_rows(data, "test", [{"id": "none", "source_language": "en", "source_captions": ["a dog"]}])
    describe(str(data), **options)
    assert "1 of 3 rows have no picture" in capsys.readouterr().out
    assert "none" not in (data / "descriptions.jsonl").read_text()
    with pytest.raises(UserError, match="has no pictures or videos to describe"):
        describe(str(build_data(tmp_path / "empty", rows=8, pictures=False)), **options)


def test_broken_pictures(tmp_path: Path, options: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    data = build_data(tmp_path / "data", rows=8)
    broken = {"bytes": b"no picture", "path": "p98.jpg"}
    write_rows(data, "test", [{"id": "p98", "image": broken, "source_language": "en", "source_captions": ["a dog"]}])
    with pytest.raises(ValueError, match="p98.jpg cannot be decoded"):
        describe(str(data), **options)
    describe(str(data), **options, skip_broken=True)
    assert descriptions(data)["p98"] is None and descriptions(data)["p00"]
    assert "broken file (1)" in capsys.readouterr().out


def test_missing_data_are_named(tmp_path: Path, options: dict[str, Any]) -> None:
    for output in (None, tmp_path / "out"):
        with pytest.raises(FileNotFoundError, match="no data folder .*nowhere"):
            describe(str(tmp_path / "nowhere"), output=output, **options)
