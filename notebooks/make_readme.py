"""Writes README.md, the table of the notebooks, from what they say about themselves."""

import json
from pathlib import Path

FOLDER = Path(__file__).parent
INTRODUCTION = """\
# Notebooks

Each runs from top to bottom without a GPU, on pictures that the package draws itself, and ends with what to change for
your own. They are stored with what they print and draw. The times are CPU seconds on one busy core; a free one takes
less.

| notebook | what you see | CPU time |
| --- | --- | ---: |
"""
ENDING = """
To run one, install in a checkout: `pip install -e '.[gallery,plots]' jupyter`, then `jupyter lab notebooks`.
After a change, `python notebooks/run.py NAME` runs a notebook and stores its outputs, and
`python notebooks/make_readme.py` writes this page.
"""


def readme() -> str:
    lines = []
    for path in sorted(FOLDER.glob("*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        title = notebook["cells"][0]["source"][0].removeprefix("# ").strip()
        about = notebook["metadata"]["leccr"]
        lines.append(f"| [{title}]({path.name}) | {about['summary']} | {about['time']} |\n")
    return INTRODUCTION + "".join(lines) + ENDING


if __name__ == "__main__":
    (FOLDER / "README.md").write_text(readme(), encoding="utf-8")
