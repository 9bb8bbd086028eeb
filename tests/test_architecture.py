"""How the repository is laid out: imports that point down only, few files in a folder's root, and short files."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
MOST_FILES, MOST_LINES = 12, 300


def test_imports_follow_the_contracts() -> None:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports; exit(lint_imports(no_cache=True))"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_application_is_sorted_into_folders() -> None:
    files = [path.name for path in (ROOT / "leccr").iterdir() if path.is_file()]
    assert len(files) <= MOST_FILES, sorted(files)


def test_no_file_is_long() -> None:
    folders = ["benchmarks", "hub_card", "leccr", "modeling_leccr", "notebooks", "processing", "spaces", "tests"]
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    lines = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert len(lines) > 200
    assert {file: count for file, count in lines.items() if count > MOST_LINES} == {}
