from pathlib import Path
from typing import Any

import pytest
from tqdm.auto import tqdm

from processing.generation.endpoint import EndpointError
from processing.generation.journal import Journal
from processing.generation.running import FAILURES_IN_A_ROW, run_jobs


def test_a_server_that_is_away_is_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def work(job: Any) -> Any:
        raise EndpointError("busy." if job == [3] else "away.")

    jobs = [[number] for number in range(FAILURES_IN_A_ROW)]
    with (
        Journal(tmp_path / "answers.jsonl") as journal,
        tqdm(total=len(jobs)) as progress,
        pytest.raises(EndpointError, match="away"),
    ):
        run_jobs(jobs, work, journal, 1, progress)
    said = capsys.readouterr().out
    assert [line for line in said.splitlines() if "Continuing" in line] == [
        "away. Continuing with the others.",
        "busy. Continuing with the others.",
        "away. Continuing with the others.",
    ]
