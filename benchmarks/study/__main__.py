"""Run the study's missing rows, then write its tables and plots.

    python -m benchmarks.study --shared ../shared --seeds 0 1 2

Finished runs are lines of `results/study.jsonl` and are not repeated, so that it can be stopped and started again,
and several processes can share the work. `benchmarks/captioner.py` comes before the rows with its descriptions.
"""

import argparse
from pathlib import Path

from .data import Library
from .report import write_report
from .rows import ROWS
from .run import run_row
from .text import run_text

HERE = Path(__file__).parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--cache", type=Path, default=HERE / "cache")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    blocks = sorted({row.block for row in ROWS} | {"text"})
    parser.add_argument("--blocks", nargs="+", choices=blocks, default=blocks)
    parser.add_argument("--report-only", action="store_true", help="Write tables and plots of what is finished.")
    arguments = parser.parse_args()
    library = Library(arguments.shared, arguments.cache, ROWS[0].recipe())
    if not arguments.report_only:
        for number, seed in enumerate(arguments.seeds):
            for row in ROWS:
                if row.block in arguments.blocks and (row.seeds is None or number < row.seeds):
                    run_row(row, seed, library)
        if "text" in arguments.blocks:
            run_text(library, arguments.seeds[0])
    write_report()


if __name__ == "__main__":
    main()
