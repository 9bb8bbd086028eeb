"""Runs notebooks and stores them with their pictures and what they print, without what only one run has.

All of them, one after the other: `python notebooks/run.py`; or by name: `python notebooks/run.py 3_inside_leccr`.
"""

import base64
import hashlib
import io
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from PIL import Image

FOLDER = Path(__file__).parent
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
PROGRESS = re.compile(r"\d+%\||\d ?(it|item|example)s?/s|s/it")
IMAGE, TEXT = "image/png", "text/plain"
LARGE = 250_000
"""Bytes above which a picture is stored with fewer colours."""


def read(name: str) -> nbformat.NotebookNode:
    """Return a notebook of this folder."""
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def names() -> list[str]:
    """Return the names of all notebooks."""
    return sorted(path.stem for path in FOLDER.glob("*.ipynb"))


def code_hash(notebook: nbformat.NotebookNode) -> str:
    """Return a fingerprint of the code, by which it shows whether the stored outputs are of this code."""
    code = "\0".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    return hashlib.sha256(code.encode()).hexdigest()[:16]


def settings(folder: Path) -> dict[str, str]:
    """Return the environment to run in: this checkout's packages and commands, and nothing from the network."""
    return {
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),  # where `leccr` is
        "PYTHONPATH": os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(FOLDER.parent)))),
        "HF_HUB_OFFLINE": "1",
        # Nothing answers there: what is not on this machine cannot be reached.
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9"),
        **dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost"),
        "TMPDIR": str(folder),
        "IPYTHONDIR": str(folder / "ipython"),
    }


def execute(notebook: nbformat.NotebookNode, folder: Path) -> None:
    """Run a notebook from top to bottom in a folder of its own; an error in a cell is raised here."""
    NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(folder)}}).execute()


def strip(notebook: nbformat.NotebookNode) -> None:
    """Keep the pictures and the printed lines; drop counts, progress bars, warnings and times of cells."""
    for cell in notebook.cells:
        cell.metadata = nbformat.NotebookNode()
        if cell.cell_type == "code":
            cell.execution_count = None
            cell.outputs = [kept for kept in map(_stripped, _joined(cell.outputs)) if kept is not None]
    notebook.metadata.leccr.code = code_hash(notebook)
    notebook.metadata.language_info = {"name": "python"}


def _joined(outputs: list[Any]) -> list[Any]:
    """Join pieces of one stream, which arrive as they were flushed."""
    joined: list[Any] = []
    for output in outputs:
        if output.output_type == "stream":
            if output.name != "stdout":
                continue
            if joined and joined[-1].output_type == "stream":
                joined[-1].text += output.text
                continue
        joined.append(output)
    return joined


def _stripped(output: Any) -> Any:
    if output.output_type == "stream":
        lines = [
            ANSI.sub("", line).rsplit("\r", 1)[-1].rstrip() for line in output.text.replace("\r\n", "\n").split("\n")
        ]
        text = re.sub(r"\n{3,}", "\n\n", "\n".join(line for line in lines if not PROGRESS.search(line))).strip("\n")
        return nbformat.v4.new_output("stream", name="stdout", text=text + "\n") if text.strip() else None
    if IMAGE in output.data:
        return nbformat.v4.new_output("display_data", data={IMAGE: _smaller(output.data[IMAGE])})
    return nbformat.v4.new_output("display_data", data={TEXT: output.data[TEXT]}) if TEXT in output.data else None


def _smaller(encoded: str) -> str:
    """Return a picture with 256 colours if it is large: that takes about a third of the space and looks alike."""
    data = base64.b64decode(encoded)
    if len(data) <= LARGE:
        return encoded
    stream = io.BytesIO()
    with Image.open(io.BytesIO(data)) as picture:
        picture.convert("RGB").quantize(256).save(stream, "PNG", optimize=True)
    return base64.b64encode(stream.getvalue()).decode()


def main(chosen: list[str]) -> None:
    """Run the notebooks of these names, or all, and store them."""
    for name in chosen or names():
        notebook = read(name)
        with tempfile.TemporaryDirectory() as folder:
            os.environ.update(settings(Path(folder)))
            execute(notebook, Path(folder))
        strip(notebook)
        nbformat.validate(notebook)
        (FOLDER / f"{name}.ipynb").write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
        print(f"{name} is stored with its outputs.")


if __name__ == "__main__":
    main(sys.argv[1:])
