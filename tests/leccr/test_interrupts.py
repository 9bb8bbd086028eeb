"""Ctrl-C, sent by the program to itself, in the moments in which it is hard to end."""

import subprocess
import sys
from pathlib import Path

import pytest

SIGNAL = "import os, signal; os.kill(os.getpid(), signal.SIGINT)"
SWALLOWED_BY_AN_IMPORT = "import swallows; print('not reached')"
WAITING_FOR_A_THREAD = f"""
import threading
threading.Thread(target=threading.Event().wait).start()
print('a result')
{SIGNAL}
"""
SAID_ALREADY = "import sys; print('Interrupted. Add --resume.', file=sys.stderr); raise SystemExit(130)"


def run(folder: Path, body: str) -> subprocess.CompletedProcess[str]:
    (folder / "swallows.py").write_text(f"try:\n    {SIGNAL}\n    while True: pass\nexcept BaseException:\n    pass\n")
    program = f"from leccr.interrupts import run_interruptible\nrun_interruptible(lambda: exec({body!r}, {{}}))"
    command = [sys.executable, "-c", f"import sys; sys.path.append({str(folder)!r})\n{program}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


@pytest.mark.parametrize(
    ("body", "printed", "said"),
    [
        (SIGNAL, "", "Interrupted.\n"),
        (SWALLOWED_BY_AN_IMPORT, "", "Interrupted.\n"),
        (WAITING_FOR_A_THREAD, "a result\n", "Interrupted.\n"),
        (SAID_ALREADY, "", "Interrupted. Add --resume.\n"),
    ],
)
def test_ctrl_c_ends_the_program_with_one_line(tmp_path: Path, body: str, printed: str, said: str) -> None:
    ended = run(tmp_path, body)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, printed, said)


@pytest.mark.parametrize(("body", "code"), [("raise SystemExit(2)", 2), ("pass", 0)])
def test_other_ends_are_as_they_were(tmp_path: Path, body: str, code: int) -> None:
    ended = run(tmp_path, body)
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, "", "")
