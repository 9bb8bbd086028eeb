import base64
import os
import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

REPOSITORY = Path(__file__).parents[2]
FOLDER = REPOSITORY / "notebooks"
NAMES = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
COLAB = "https://colab.research.google.com/github/org/leccr/blob/main/notebooks"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
PNG = b"\x89PNG\r\n\x1a\n"


def numbers(pattern: str, text: str) -> list[float]:
    found = [float(value) for value in re.findall(pattern, text)]
    assert found, f"nothing like {pattern} was printed"
    return found


def check_search(text: str) -> None:
    rates = numbers(r"(?:en|de|fr|zh): right picture first for (\d+) %", text)
    assert len(rates) == 4 and min(rates) > 30  # guessing: 0.7


def check_training(text: str) -> None:
    assert "Descriptions: 430; pictures without one: 0." in text
    assert "Translations: 1720; captions without one: 0." in text
    rates = numbers(r"\| (?:de|zh) +\| +([\d.]+) /", text)
    assert len(rates) == 2 and min(rates) > 25  # guessing: 1
    assert "Nothing was uploaded." in text


def check_transfer(text: str) -> None:
    [without] = numbers(r"student without transfer: divergence ([\d.]+) nats", text)
    [transferred] = numbers(r"student with transfer: divergence ([\d.]+) nats", text)
    assert transferred < 0.8 * without
    [before, after] = numbers(r"on the right word (?:before|after) training: (\d+) %", text)
    assert after > before + 20


def check_inside(text: str) -> None:
    rates = numbers(r"(?:en|de): slots alone [\d.]+ %, at α = 0.8 ([\d.]+) %", text)
    assert len(rates) == 2 and min(rates) > 45  # guessing: 1
    [hard] = numbers(r"hard labels: ([\d.]+) % for the first picture", text)
    [softened] = numbers(r"softened labels: ([\d.]+) % for the first picture", text)
    assert softened < hard - 1


CONTENT: dict[str, Callable[[str], None]] = {
    "1_search_photos": check_search,
    "2_train_on_your_captions": check_training,
    "3_inside_leccr": check_inside,
    "4_cl2cm_and_transfer": check_transfer,
}


def read(name: str) -> nbformat.NotebookNode:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def test_every_notebook_is_tested() -> None:
    assert set(CONTENT) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_stored_without_outputs_and_noise(name: str) -> None:
    text = (FOLDER / f"{name}.ipynb").read_text(encoding="utf-8")
    notebook = read(name)
    nbformat.validate(notebook)
    about = notebook.metadata.pop("leccr")
    assert set(about) == {"summary", "time"}
    assert notebook.metadata == METADATA
    for cell in notebook.cells:
        assert cell.metadata == {} and re.fullmatch(r"[a-z]+(-[a-z]+)*", cell.id), cell.id
        assert cell.cell_type == "markdown" or (cell.outputs == [] and cell.execution_count is None), cell.id
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    assert text == nbformat.writes(read(name)) + "\n", "run `ruff format notebooks`, or save it with nbformat"


@pytest.mark.parametrize("name", NAMES)
def test_it_can_be_opened_in_colab_and_says_what_to_change(name: str) -> None:
    first, install, *_, last = read(name).cells
    assert f"{COLAB}/{name}.ipynb" in first.source
    assert 'find_spec("leccr") is None' in install.source and "%pip install" in install.source
    assert last.source.startswith("## For the real thing\n")


def test_the_table_of_the_readme_is_current() -> None:
    expected = runpy.run_path(str(FOLDER / "make_readme.py"))["readme"]()
    assert (FOLDER / "README.md").read_text(encoding="utf-8") == expected, "run `python notebooks/make_readme.py`"


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_it_runs_and_shows_what_it_promises(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),  # where `leccr` is
        "PYTHONPATH": os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(REPOSITORY)))),
        "HF_HUB_OFFLINE": "1",
        # Nothing answers there: what is not on this machine cannot be reached.
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9"),
        **dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost"),
        "TMPDIR": str(tmp_path),
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }
    for variable, value in settings.items():
        monkeypatch.setenv(variable, value)
    notebook = read(name)
    watching = "from tests.notebooks.plot_rules import watch_plots\n\nwatch_plots()"
    notebook.cells.insert(0, nbformat.v4.new_code_cell(watching))
    # Any error in a cell is raised here.
    NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(tmp_path)}}).execute()
    printed = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            pictures = [output.data["image/png"] for output in cell.outputs if "image/png" in output.get("data", {})]
            wanted = len(re.findall(r"^(?:plt\.show|display)\(", cell.source, re.MULTILINE))
            assert len(pictures) == wanted, cell.id
            assert all(base64.b64decode(picture).startswith(PNG) for picture in pictures)
            printed += [output.text for output in cell.outputs if output.get("name") == "stdout"]
    CONTENT[name]("".join(printed))
