import json
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as PillowImage

from processing.errors import UserError
from processing.generation.answers import Answer, Decoding
from processing.generation.describe import DescriptionReport, describe_pictures
from processing.generation.describers import EndpointDescriber, Pictures
from processing.generation.endpoint import ChatClient, EndpointError
from processing.generation.journal import Journal
from processing.generation.prompts import Prompts

from .chat_server import ChatServer, Reply, question_of

PROMPTS = Prompts("two", {"things": "What is there?", "place": "Where is it?"}, 30)
IDS = [f"p{number}" for number in range(7)]


class Stopped(BaseException):
    """Stands for a process that ends in the middle."""


class FakeDescriber:
    """Answers with the picture's width, what else is in the batch, and the decoding."""

    in_flight = 1

    def __init__(
        self, batch_size: int = 3, stop_after: int = 10**9, bad: Callable[[int, str, float], str | None] | None = None
    ):
        self.batch_size = batch_size
        self.settings: dict[str, Any] = {"model": "fake", "batch_size": batch_size}
        self.calls: list[tuple[list[int], str, Decoding]] = []
        self.stop_after = stop_after
        self.bad = bad or (lambda width, question, temperature: None)

    def answer(self, pictures: Sequence[Pictures], question: str, decoding: Decoding) -> list[Answer]:
        if len(self.calls) >= self.stop_after:
            raise Stopped
        widths = [frames[0].width for frames in pictures]
        self.calls.append((widths, question, decoding))
        texts = (self.bad(width, question, decoding.temperature) for width in widths)
        return [
            Answer(f"{width} of {widths} by {decoding.seed}." if text is None else text)
            for width, text in zip(widths, texts)
        ]


def open_picture(place: int) -> list[PillowImage.Image]:
    return [PillowImage.new("RGB", (place + 1, 1))]


def describe(path: Path, describer: Any, ids: Sequence[str] = IDS, **options: Any) -> DescriptionReport:
    with Journal(path) as journal:
        return describe_pictures(ids, options.pop("open", open_picture), describer, PROMPTS, journal, **options)


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_a_record_has_the_answers_apart_and_where_they_come_from(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    report = describe(path, FakeDescriber(), temperature=0.5, seed=3)
    assert (report.described, report.empty, report.left) == (7, 0, 0)
    found = records(path)
    assert [record["id"] for record in found] == IDS
    for record in found:
        assert list(record) == ["id", "description", "answers", "problems", "settings"]
        assert record["description"] == f"{record['answers']['things']}\n{record['answers']['place']}"
        assert record["problems"] == {}
        assert record["settings"] == {
            "model": "fake",
            "batch_size": 3,
            "prompts": "two",
            "prompts_digest": PROMPTS.digest,
            "max_new_tokens": 30,
            "temperature": 0.5,
            "seed": 3,
        }
    assert found[4]["answers"]["things"].startswith("5 of [4, 5, 6] by ")


def test_stopped_after_any_call_the_file_is_the_same_in_the_end(tmp_path: Path) -> None:
    def bad(width: int, question: str, temperature: float) -> str | None:
        return "" if width % 3 == 0 and temperature == 0 else None

    whole = FakeDescriber(bad=bad)
    describe(tmp_path / "whole.jsonl", whole)
    assert len(whole.calls) == 2 * (3 + 2)
    for stop in range(len(whole.calls)):
        path = tmp_path / f"{stop}.jsonl"
        with pytest.raises(Stopped):
            describe(path, FakeDescriber(stop_after=stop, bad=bad))
        with path.open("ab") as stream:
            stream.write(b'{"id": "p')
        rest = FakeDescriber(bad=bad)
        describe(path, rest)
        assert path.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
        assert rest.calls == whole.calls[len(whole.calls) - len(rest.calls) :]
    assert len(rest.calls) < 4


def test_nothing_is_asked_again_when_all_is_done(tmp_path: Path) -> None:
    describe(tmp_path / "d.jsonl", FakeDescriber())
    again = FakeDescriber()
    assert describe(tmp_path / "d.jsonl", again).described == 7
    assert again.calls == []


def test_new_pictures_are_added_and_the_batch_may_change(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    describe(path, FakeDescriber(), IDS[1:4], open=lambda place: open_picture(place + 1))
    before = {record["id"]: record for record in records(path)}
    describer = FakeDescriber(batch_size=2)
    describe(path, describer)
    assert [call[0] for call in describer.calls[::2]] == [[1, 5], [6, 7]]
    after = {record["id"]: record for record in records(path)}
    assert list(after) == IDS
    assert {name: after[name] for name in before} == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 1}, r"started with seed 0, not 1; .* --restart"),
        ({"temperature": 0.5}, r"started with temperature 0.0, not 0.5"),
    ],
)
def test_other_settings_are_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    describe(tmp_path / "d.jsonl", FakeDescriber(), IDS[:2])
    describer = FakeDescriber()
    with pytest.raises(ValueError, match=message):
        describe(tmp_path / "d.jsonl", describer, **options)
    assert describer.calls == []


def test_useless_answers_are_asked_for_again_and_then_left_out(tmp_path: Path) -> None:
    def bad(width: int, question: str, temperature: float) -> str | None:
        match width, question == "Where is it?", temperature > 0:
            case (1, _, False) | (2, True, _):
                return "I'm sorry, I can't help with that."
            case (3, _, _):
                return "" if temperature else "no no no no no no no no no no no no no"
        return None

    report = describe(tmp_path / "d.jsonl", FakeDescriber(bad=bad))
    first, second, third, fourth = records(tmp_path / "d.jsonl")[:4]
    assert first["problems"] == {"things": ["refusal"], "place": ["refusal"]} and all(first["answers"].values())
    assert second["problems"] == {"place": ["refusal", "refusal"]} and second["answers"]["place"] is None
    assert second["description"] == second["answers"]["things"]
    assert third["problems"] == {"things": ["runaway", "empty"], "place": ["runaway", "empty"]}
    assert third["description"] is None and set(third["answers"].values()) == {None}
    assert fourth["problems"] == {}
    assert report == DescriptionReport(
        described=6, empty=1, left=0, retried={"refusal": 3, "runaway": 2}, useless={"refusal": 1, "empty": 2}
    )


def test_broken_pictures_stop_the_run_or_are_recorded(tmp_path: Path) -> None:
    def open_or_fail(place: int) -> list[PillowImage.Image]:
        if place in (1, 3, 4, 5):
            raise UserError(f"picture {place} is broken")
        return open_picture(place)

    path = tmp_path / "d.jsonl"
    with pytest.raises(UserError, match="picture 1 is broken"):
        describe(path, FakeDescriber(), open=open_or_fail)
    report = describe(path, FakeDescriber(), open=open_or_fail, skip_broken=True)
    assert (report.described, report.empty, report.useless) == (3, 4, {"broken file": 4})
    descriptions = {record["id"]: record["description"] for record in records(path)}
    assert [name for name in IDS if descriptions[name] is None] == ["p1", "p3", "p4", "p5"]
    assert descriptions["p2"].startswith("3 of [1, 3] by ")


def test_an_id_may_appear_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2 rows have the id 'b'"):
        describe(tmp_path / "d.jsonl", FakeDescriber(), ["a", "b", "b"])


def endpoint(server: ChatServer, in_flight: int = 4, **options: Any) -> EndpointDescriber:
    return EndpointDescriber(ChatClient(server.url, "tiny", timeout=300.0, first_wait=0.01, **options), in_flight)


def test_many_requests_are_in_flight_and_the_order_is_the_datas(tmp_path: Path) -> None:
    together = threading.Barrier(4)

    def reply(number: int, payload: dict[str, Any]) -> Reply:
        if number < 4:
            together.wait(timeout=300)  # Fails unless four requests are there at once.
        time.sleep(0.02 * (number % 3))
        return Reply(f"Answer to: {question_of(payload)}")

    ids = [f"p{number:02}" for number in range(12)]
    with ChatServer(reply) as server:
        describe(tmp_path / "d.jsonl", endpoint(server), ids)
    assert not together.broken
    assert server.most_at_once <= 4
    found = records(tmp_path / "d.jsonl")
    assert [record["id"] for record in found] == ids
    assert {record["description"] for record in found} == {"Answer to: What is there?\nAnswer to: Where is it?"}
    assert len(server.payloads) == 24
    assert len({payload["seed"] for payload in server.payloads}) == 24


def test_a_server_that_fails_in_every_way_gives_the_same_file(tmp_path: Path) -> None:
    failures = [
        Reply(status=429, headers={"Retry-After": "0.05"}),
        Reply(status=500),
        Reply(body=b'{"choices": [{"mess'),
        Reply("A dog runs across the", finish_reason="length"),
        Reply(cut_off=True),
    ]

    def failing(number: int, payload: dict[str, Any]) -> Reply:
        return failures[number // 2 % 5] if number % 2 == 0 else Reply(question_of(payload))

    files = []
    for name, reply in (("failing", failing), ("sound", lambda number, payload: Reply(question_of(payload)))):
        path = tmp_path / f"{name}.jsonl"
        with ChatServer(reply) as server:
            describe(path, endpoint(server, 1))
        files.append([{**record, "problems": None} for record in records(path)])
    assert files[0] == files[1]
    retried = [record["problems"] for record in records(tmp_path / "failing.jsonl") if record["problems"]]
    assert retried and all(set(map(tuple, problems.values())) == {("runaway",)} for problems in retried)


def test_pictures_that_a_server_fails_on_are_left_for_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    sound = threading.Event()

    def reply(number: int, payload: dict[str, Any]) -> Reply:
        failing = number % 4 == 0 and not sound.is_set()
        return Reply("no", status=400) if failing else Reply("A dog.")

    with ChatServer(reply) as server:
        first = describe(path, endpoint(server, 1))
        assert (first.described + first.left, first.empty) == (7, 0) and 0 < first.left < 7
        assert len(records(path)) == first.described
        sound.set()
        asked = len(server.payloads)
        assert describe(path, endpoint(server, 1)).described == 7
        assert len(server.payloads) - asked == 2 * first.left
    assert [record["id"] for record in records(path)] == IDS


def test_a_server_that_only_fails_ends_the_run(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    ids = [f"p{number}" for number in range(40)]
    with (
        ChatServer(
            lambda number, payload: Reply("A dog." if number < 6 else None, 200 if number < 6 else 400)
        ) as server,
        pytest.raises(EndpointError, match="rejects a request with status 400"),
    ):
        describe(path, endpoint(server, 1), ids)
    assert len(server.payloads) == 6 + 10
    with Journal(path) as journal:
        assert list(journal) == [("p0",), ("p1",), ("p2",)]
