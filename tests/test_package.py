import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import leccr

ROOT = Path(leccr.__file__).parents[1]


def python(program: str, *folders: Path) -> subprocess.CompletedProcess[str]:
    """Run a program in a fresh Python that looks for packages in `folders` first."""
    path = os.pathsep.join(str(folder) for folder in folders)
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=folders[0],
        env={**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"},
    )


def test_importing_leccr_loads_nothing_heavy() -> None:
    result = python("import sys, leccr; print({'torch', 'transformers', 'datasets'} & set(sys.modules))", ROOT)
    assert (result.stdout, result.stderr) == ("set()\n", "")


@pytest.mark.parametrize("name", leccr.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(leccr, name) is not None
    assert name in dir(leccr)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'leccr' has no attribute 'LecrModel'"):
        leccr.LecrModel  # noqa: B018


@pytest.mark.parametrize("shadow", ["processing.py", "processing/__init__.py"])
def test_another_processing_in_front_of_ours_is_named(tmp_path: Path, shadow: str) -> None:
    other = tmp_path / shadow
    other.parent.mkdir(exist_ok=True)
    other.write_text("raise RuntimeError('was imported')\n")
    result = python("import leccr", tmp_path, ROOT)
    assert result.returncode == 1
    last_line = result.stderr.splitlines()[-1]
    assert last_line.startswith("ImportError: leccr needs its own package processing")
    assert str(other) in last_line


def test_another_processing_behind_ours_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "processing.py").write_text("raise RuntimeError('was imported')\n")
    result = python("import leccr", ROOT, tmp_path)
    assert (result.returncode, result.stderr) == (0, "")


def requirement_name(line: str) -> str:
    return re.split(r"[^\w.-]", line)[0].lower().replace("_", "-")


def test_every_dependency_has_a_tested_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    # What `make venv` installs; the other extras need models that the tests do not have.
    extras = [project["optional-dependencies"][name] for name in ("demo", "dev")]
    wanted = {requirement_name(line) for lines in [project["dependencies"], *extras] for line in lines}
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {requirement_name(line) for line in lines if re.fullmatch(r"[\w.-]+==[\w.]+", line)}
    assert wanted <= pinned
    assert "torchvision" not in pinned
