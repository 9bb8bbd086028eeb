import json
from pathlib import Path
from typing import Any

import pytest

from processing.generation.journal import Journal


def record(name: str, **others: Any) -> dict[str, Any]:
    return {"id": name, **others}


def ids(path: Path) -> list[str]:
    return [json.loads(line)["id"] for line in path.read_text("utf-8").splitlines() if line]


def test_records_come_back_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.jsonl"
    with Journal(path) as journal:
        journal.append([record("a", text="für 雪"), record("b", text=None)])
        journal.append([record("c")])
        assert journal.get(("a",)) == {"id": "a", "text": "für 雪"}
    with Journal(path) as journal:
        assert (len(journal), list(journal), ("b",) in journal, ("x",) in journal) == (
            3,
            [("a",), ("b",), ("c",)],
            True,
            False,
        )
        assert journal.get(("a",)) == {"id": "a", "text": "für 雪"}
        assert journal.get(("x",)) is None
    assert "für 雪" in path.read_text("utf-8")


def test_a_file_cut_off_anywhere_holds_whole_batches_and_can_go_on(tmp_path: Path) -> None:
    path = tmp_path / "file.jsonl"
    batches = [["a", "b"], ["c", "d"], ["e"]]
    with Journal(path) as journal:
        for batch in batches:
            journal.append([record(name, text=name * 3) for name in batch])
    whole = path.read_bytes()
    counts = set()
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        with Journal(path) as journal:
            counts.add(len(journal))
            for batch in batches:
                there = [(name,) in journal for name in batch]
                assert all(there) or not any(there)
                if not any(there):
                    journal.append([record(name, text=name * 3) for name in batch])
        assert path.read_bytes() == whole
    assert counts == {0, 2, 4, 5}


def test_finishing_puts_records_in_order_without_empty_lines(tmp_path: Path) -> None:
    path = tmp_path / "file.jsonl"
    with Journal(path) as journal:
        journal.append([record("other"), record("c")])
        journal.append([record("a")])
        journal.finish([("a",), ("missing",), ("c",)])
        assert journal.get(("c",)) == record("c")
    assert path.read_bytes() == b'{"id": "other"}\n{"id": "a"}\n{"id": "c"}\n'
    assert [file.name for file in tmp_path.iterdir()] == ["file.jsonl"]


def test_a_finished_file_is_taken_whole_and_can_be_added_to(tmp_path: Path) -> None:
    path = tmp_path / "file.jsonl"
    path.write_bytes(b'{"id": "a"}\n{"id": "b"}\n{"id": "to')
    with Journal(path) as journal:
        assert list(journal) == [("a",), ("b",)]
        journal.append([record("c"), record("d")])
    torn = path.read_bytes()[:-4]
    path.write_bytes(torn)
    with Journal(path) as journal:
        assert list(journal) == [("a",), ("b",)]


def test_of_two_records_the_later_counts(tmp_path: Path) -> None:
    path = tmp_path / "file.jsonl"
    with Journal(path, ("id", "number")) as journal:
        journal.append([record("a", number=1, text="old"), record("a", number=2, text="other")])
        journal.append([record("a", number=1, text="new")])
    with Journal(path, ("id", "number")) as journal:
        assert journal.get(("a", 1)) == record("a", number=1, text="new")
        journal.finish([("a", 1)])
    assert path.read_text().count("\n") == 2


def test_forgetting_is_for_good(tmp_path: Path) -> None:
    path = tmp_path / "file.jsonl"
    with Journal(path) as journal:
        journal.append([record("a"), record("b"), record("c")])
        journal.forget([("b",), ("missing",)])
        assert list(journal) == [("a",), ("c",)]
        journal.append([record("b", text="new")])
    with Journal(path) as journal:
        assert [journal.get(key) for key in journal] == [record("a"), record("c"), record("b", text="new")]


def test_only_one_process_writes(tmp_path: Path) -> None:
    path = tmp_path / "file.jsonl"
    with Journal(path) as journal:
        journal.append([record("a")])
        for finish in (False, True):
            if finish:
                journal.finish([])
            with pytest.raises(ValueError, match="Another process is writing"):
                Journal(path)
    with Journal(path) as journal:
        assert len(journal) == 1


@pytest.mark.parametrize("line", ["not json", "[]", "3", '{"name": "a"}'])
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "file.jsonl"
    path.write_text(f'{{"id": "a"}}\n{line}\n')
    with pytest.raises(ValueError, match=r"Line 2 of .*file.jsonl is not a record"):
        Journal(path)
    assert path.read_text().endswith(f"{line}\n")
