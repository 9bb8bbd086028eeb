import json
from pathlib import Path

import pytest

from leccr.cli import processes
from leccr.cli.processes import has_lost_a_process, name_process, wait_for_the_end
from processing.notes import is_main_process, is_one_of_several

LOST = RuntimeError("[gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:53126.")


@pytest.fixture
def second(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name, value in {"RANK": "1", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / "error.json"))
    return tmp_path / "error.json"


def test_the_second_process_names_itself_and_tells_the_launcher(second: Path) -> None:
    assert name_process("Error: It is broken.", 2) == "Process 1: Error: It is broken."
    content = json.loads(second.read_text())
    assert (content["message"], content["exitcode"]) == ("Error: It is broken.", 2)
    # Each process gets the Ctrl-C.
    assert name_process("Interrupted.", 130) == ""


def test_a_process_by_itself_does_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "TORCHELASTIC_ERROR_FILE"):
        monkeypatch.delenv(name, raising=False)
    assert name_process("Error: It is broken.", 2) == "Error: It is broken."
    assert not has_lost_a_process(LOST)


def test_what_the_others_see_is_not_taken_for_a_bug(second: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "GRACE_SECONDS", 0)
    assert has_lost_a_process(LOST) and not has_lost_a_process(RuntimeError("shapes differ"))
    assert wait_for_the_end() == "Error: Another process of this run has ended; its message says why."


def test_processes_that_mpirun_starts_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert is_main_process() and not is_one_of_several()
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "3")
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "4")
    assert not is_main_process() and is_one_of_several()
