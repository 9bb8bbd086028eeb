import base64
import io
import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from PIL import Image, ImageChops, ImageStat

from tests.tiny_data import picture

REPOSITORY = Path(__file__).parents[2]
FOLDER = REPOSITORY / "notebooks"
RUN: dict[str, Any] = runpy.run_path(str(FOLDER / "run.py"))
NAMES = RUN["names"]()
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
    assert "Described 430 pictures; 0 have no description." in text
    assert "Translated 1720 captions; 0 have no translation." in text
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
    rates = numbers(r"(?:en|de): slots only [\d.]+ %, at α = 0.8 ([\d.]+) %", text)
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


def pictures_of(cell: nbformat.NotebookNode) -> list[str]:
    return [output.data["image/png"] for output in cell.outputs if "image/png" in output.get("data", {})]


def as_png(image: Image.Image) -> str:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def promised(cell: nbformat.NotebookNode) -> int:
    """Return how many pictures the code of a cell shows."""
    return len(re.findall(r"^(?:plt\.show|display)\(", cell.source, re.MULTILINE))


def test_every_notebook_is_tested() -> None:
    assert set(CONTENT) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_stored_in_the_form_that_nbformat_writes(name: str) -> None:
    text = (FOLDER / f"{name}.ipynb").read_text(encoding="utf-8")
    notebook = RUN["read"](name)
    nbformat.validate(notebook)
    about = notebook.metadata.pop("leccr")
    assert set(about) == {"summary", "time", "code"}
    assert notebook.metadata == METADATA
    assert all(cell.metadata == {} and re.fullmatch(r"[a-z]+(-[a-z]+)*", cell.id) for cell in notebook.cells)
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    assert text == nbformat.writes(RUN["read"](name)) + "\n", "run `ruff format notebooks`, or save it with nbformat"


@pytest.mark.parametrize("name", NAMES)
def test_it_is_stored_with_the_outputs_of_its_code(name: str) -> None:
    notebook = RUN["read"](name)
    assert notebook.metadata.leccr.code == RUN["code_hash"](notebook), f"run `python notebooks/run.py {name}`"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert sum(map(promised, code)) > 0
    for cell in code:
        assert cell.execution_count is None
        assert len(pictures_of(cell)) == promised(cell), cell.id
        assert all(output.get("name") != "stderr" and output.output_type != "error" for output in cell.outputs)
    CONTENT[name](printed(notebook))


@pytest.mark.parametrize("name", NAMES)
def test_its_outputs_have_nothing_that_only_one_run_has(name: str) -> None:
    text = printed(RUN["read"](name))
    assert not re.search(r"\r|\x1b|%\||it/s|s/it|\bfinished in\b|0x[0-9a-f]{6}", text, re.IGNORECASE)
    assert not re.search(r"(?<![\w.~])/(?:tmp|home|root|usr|work|var|Users)\b", text)
    assert (FOLDER / f"{name}.ipynb").stat().st_size < 600_000


def printed(notebook: nbformat.NotebookNode) -> str:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output.text for output in outputs if output.get("name") == "stdout")


def test_stripping_keeps_pictures_and_printed_lines() -> None:
    new = nbformat.v4.new_output
    encoded = as_png(picture())
    cell = nbformat.v4.new_code_cell("x", execution_count=7, metadata={"execution": {"started": "now"}})
    cell.outputs = [
        new("stream", name="stdout", text="  0%|    | 0/2\r100%|####| 2/2 [00:01, 2.00it/s]\nstep 2: "),
        new("stream", name="stderr", text="A warning"),
        new("stream", name="stdout", text="half\rSumR 3\r\n\x1b[Aend\n"),
        new(
            "display_data", data={"image/png": encoded, "text/plain": "<Figure>"}, metadata={"image/png": {"width": 3}}
        ),
        new("execute_result", data={"text/plain": "5"}, execution_count=7),
    ]
    notebook = nbformat.v4.new_notebook(cells=[cell], metadata={"leccr": {}})
    RUN["strip"](notebook)
    assert (cell.execution_count, cell.metadata) == (None, {})
    printed_lines, shown, value = cell.outputs
    assert (printed_lines.text, value.data) == ("SumR 3\nend\n", {"text/plain": "5"})
    assert shown.data == {"image/png": encoded} and shown.metadata == {}
    assert notebook.metadata.leccr.code == RUN["code_hash"](notebook)


def test_a_large_picture_is_stored_in_fewer_bytes() -> None:
    noise = Image.effect_noise((400, 400), 20)
    large = Image.merge("RGB", (noise, noise.rotate(90), noise.rotate(180)))
    cell = nbformat.v4.new_code_cell("x")
    cell.outputs = [nbformat.v4.new_output("display_data", data={"image/png": as_png(large)})]
    RUN["strip"](nbformat.v4.new_notebook(cells=[cell], metadata={"leccr": {}}))
    data = base64.b64decode(pictures_of(cell)[0])
    kept = Image.open(io.BytesIO(data)).convert("RGB")
    assert len(data) < len(as_png(large)) / 2 and kept.size == large.size
    difference = ImageStat.Stat(ImageChops.difference(kept, large)).mean
    assert max(difference) < 10


@pytest.mark.parametrize("name", NAMES)
def test_it_says_how_to_run_it_and_what_to_change(name: str) -> None:
    first, *_, last = RUN["read"](name).cells
    assert "pip install -e" in first.source
    assert last.source.startswith("## For the real thing\n")


def test_the_table_of_the_readme_is_current() -> None:
    expected = runpy.run_path(str(FOLDER / "make_readme.py"))["readme"]()
    assert (FOLDER / "README.md").read_text(encoding="utf-8") == expected, "run `python notebooks/make_readme.py`"


SHORTER = (
    # Steps of training, and how many rows there are to train on.
    (re.compile(r"""((?:max|eval|save)_steps[": ]+)\d+"""), r"\g<1>4"),
    (re.compile(r"""(short\("[a-z0-9-]+", )\d+"""), r"\g<1>4"),
    (re.compile(r"""((?:num_train=|"train": ))\d+"""), r"\g<1>80"),
)


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[nbformat.NotebookNode]]:
    """Run all notebooks after shorter trainings, each without the names of the others; return their cells.

    Importing everything takes longer than running them, so that one process runs all.
    """
    new = nbformat.v4.new_code_cell
    cells = [new("from tests.notebooks.plot_rules import watch_plots\n\nwatch_plots()")]
    found = {}
    for name in NAMES:
        found[name] = RUN["read"](name).cells
        whole = [cell.source for cell in found[name]]
        for cell in found[name]:
            cell.id = f"{name}-{cell.id}"
            for pattern, shorter in SHORTER:
                cell.source = pattern.sub(shorter, cell.source)
        assert [cell.source for cell in found[name]] != whole
        cells += [new("%reset -f"), *found[name]]
    folder = tmp_path_factory.mktemp("notebooks")
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in RUN["settings"](folder).items():
            patch.setenv(variable, value)
        RUN["execute"](nbformat.v4.new_notebook(cells=cells, metadata=METADATA), folder)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_it_runs_after_a_shorter_training(name: str, executed: dict[str, list[nbformat.NotebookNode]]) -> None:
    """What it promises of a whole training is looked for in its stored outputs."""
    for cell in executed[name]:
        if cell.cell_type == "code":
            assert len(pictures_of(cell)) == promised(cell), cell.id
            assert all(base64.b64decode(picture).startswith(PNG) for picture in pictures_of(cell))
