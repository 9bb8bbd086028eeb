"""Run the study's missing rows, then write its tables and plots.

    python -m benchmarks.offline_towers benchmarks/cache/towers
    python -m benchmarks.pretrained --shared ../shared --seeds 0 1 2

Finished runs are lines of `results/pretrained.jsonl` and are not repeated, so that it can be stopped and started again.
"""

import argparse
from pathlib import Path

from .data import Study
from .report import write_report
from .rows import ROWS
from .run import run_row

CACHE = Path(__file__).parent.parent / "cache"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--towers", type=Path, default=CACHE / "towers" / "towers.yaml")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    blocks = list(dict.fromkeys(row.block for row in ROWS))
    parser.add_argument("--blocks", nargs="+", choices=blocks, default=blocks)
    parser.add_argument("--rows", nargs="+", help="names of rows; all by default")
    parser.add_argument("--report-only", action="store_true", help="Write tables and plots of what is finished.")
    arguments = parser.parse_args()
    if not arguments.report_only:
        study = Study(arguments.shared, arguments.cache, arguments.towers)
        for number, seed in enumerate(arguments.seeds):
            for row in ROWS:
                chosen = row.block in arguments.blocks and row.name in (arguments.rows or [row.name])
                if chosen and (row.seeds is None or number < row.seeds):
                    run_row(row, seed, study)
    write_report()


if __name__ == "__main__":
    main()
