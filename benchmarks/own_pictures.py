"""Run the walkthrough `docs/your-pictures.md` on photos of Flickr8k: python -m benchmarks.own_pictures OUT.

OUT/photos becomes such a folder as the page describes: photos with five English captions each. Those of the split test
have a German caption (Multi30K) and five Chinese ones (Flickr8k-CN), all by people, which training never sees. Then the
page's commands run in OUT, and what they print is shown. Towers that are in OUT/towers are not fetched again.
"""

import argparse
import csv
import random
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from processing.readers.five_languages import five_languages_rows

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "your-pictures.md"
COLUMNS = ["file_name", "caption", "caption_de", "caption_zh", "split"]


def commands(page: Path = PAGE) -> Iterator[list[str]]:
    """Yield the words of each command in the page's numbered sections, in their order."""
    text = page.read_text(encoding="utf-8")
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        if section[0].isdigit():
            for block in re.findall(r"```console\n(.*?)```", section, re.DOTALL):
                yield from (shlex.split(line[2:]) for line in block.splitlines() if line.startswith("$ "))


def write_photos(shared: Path, folder: Path, photos: int) -> None:
    """Write the folder: of the photos, a tenth are for validation and a tenth for the test.

    These two are of Flickr8k-CN's validation images, which have Chinese captions by people.
    """
    splits = five_languages_rows(shared / "data", languages=["de"]).splits
    held_out = [row for row in splits["validation"] if by_people(row).keys() >= {"de", "zh"}]
    train = list(splits["train"])
    for rows in (train, held_out):
        random.Random(0).shuffle(rows)
    tenth = photos // 10
    chosen = {"train": train[: photos - 2 * tenth], "validation": held_out[:tenth], "test": held_out[tenth : 2 * tenth]}
    folder.mkdir(parents=True)
    with (folder / "captions.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for split, rows in chosen.items():
            for row in rows:
                path = Path(row["image"]["path"])
                shutil.copy(path, folder / path.name)
                line = {"file_name": path.name, "split": split}
                writer.writerows({**line, "caption": text} for text in row["source_captions"])
                if split == "test":
                    for language, texts in by_people(row).items():
                        writer.writerows({**line, f"caption_{language}": text} for text in texts)


def by_people(row: dict[str, Any]) -> dict[str, list[str]]:
    """Return a row's captions in other languages, less those by machines, by language."""
    found: dict[str, list[str]] = {}
    for target in row["target_captions"]:
        if target["origin"] == "human":
            found.setdefault(target["language"], []).append(target["text"])
    return found


def main() -> None:
    """Write the photos and run the commands."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder with the published data")
    parser.add_argument("--photos", type=int, default=1000)
    given = parser.parse_args()
    write_photos(given.shared, given.out / "photos", given.photos)
    programs = {"leccr": [sys.executable, "-m", "leccr"], "python": [sys.executable]}
    for program, *arguments in commands():
        if program not in programs or ("benchmarks.offline_towers" in arguments and (given.out / "towers").exists()):
            continue
        print(f"$ {shlex.join([program, *arguments])}", flush=True)
        subprocess.run([*programs[program], *arguments], cwd=given.out, check=True)


if __name__ == "__main__":
    main()
