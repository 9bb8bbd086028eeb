"""Every command that runs a model takes `--device`, and asks the one function of `processing.device` for it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from leccr.cli import app
from leccr.gallery import Gallery
from processing import device
from processing.storage import write_rows
from tests.leccr.gallery.tiny_gallery import encoder, paint, photos, save_model
from tests.tiny_data import row

RUN_A_MODEL = {
    "quickstart": "--out {new}",
    "describe": "{data} --model {model}",
    "translate": "{data} --to de --model {model}",
    "features": "{data} --towers scenes",
    "train": "leccr --towers scenes --out {new}",
    "embed-captions": "{data} --model {model}",
    "evaluate": "{model} {data}",
    "index": "{photos} --model {model} --out {new}",
    "search": "{gallery} red",
    "gallery add": "{gallery} {photos}",
    "gallery check": "{gallery} --repair",
    "gallery sync": "{gallery}",
    "serve": "{gallery}",
    "demo": "--gallery {photos} --model {model}",
}
RUN_NONE = {
    "prepare",
    "gallery remove",
    "gallery info",
    "gallery convert",
    "gallery duplicates",
    "gallery relocate",
    "push",
    "card",
    "convert-official",
    # Always on the CPU, so that the programs that it writes name no other device.
    "export",
    "recipes",
    "recipes show",
}
WITHOUT_PRECISION = {"quickstart", "train"}
"""Those that train: `--bf16` and `--fp16` of Trainer set their precision."""


class Asked(BaseException):
    """Somebody asked whether this machine has a device; no ordinary exception, which the command line would report."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a checkpoint, photos, and a gallery of them whose views are damaged, so that it has to load the model."""
    root = tmp_path_factory.mktemp("folders")
    made = encoder(name=str(save_model(root / "model")))
    Gallery.build(photos(root / "photos", 3), made, root / "gallery").close()
    [views] = (root / "gallery").glob("views-*.fp32")
    views.write_bytes(bytes(views.stat().st_size))
    # What there is to do for `gallery sync`.
    paint(root / "photos" / "new.png", 9)
    photos(root / "more", 4)
    write_rows(root / "data", "validation", [row("a"), row("b")])
    return {"data": root / "data", "model": root / "model", "photos": root / "more", "gallery": root / "gallery"}


def commands(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the names and the commands of the command line."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            if command.invoke_without_command:
                yield prefix + name, command
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield prefix + name, command


COMMANDS = dict(commands(typer.main.get_command(app)))


def test_a_new_command_says_whether_it_runs_a_model() -> None:
    assert COMMANDS.keys() == RUN_A_MODEL.keys() | RUN_NONE


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_commands_that_run_a_model_take_device_and_precision(name: str) -> None:
    taken = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    assert ("--device" in taken) == (name in RUN_A_MODEL)
    assert ("--dtype" in taken) == (name in RUN_A_MODEL.keys() - WITHOUT_PRECISION)


@pytest.mark.parametrize("name", sorted(RUN_A_MODEL))
def test_the_device_reaches_the_function_that_chooses_it(
    name: str, folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(device: str) -> bool:
        raise Asked(device)

    monkeypatch.setattr(device, "is_available", ask)
    words = RUN_A_MODEL[name].format(new=tmp_path / "new", **folders).split()
    with pytest.raises(Asked, match="^mps$"):
        CliRunner().invoke(app, [*name.split(), *words, "--device", "mps"], catch_exceptions=False)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "evaluate m d --device gpu",
            "Error: There is no device 'gpu'; choose auto, cpu, cuda, mps, or",
        ),
        ("evaluate m d --dtype half", "Error: There is no precision 'half'; choose one of auto, fp32, bf16, fp16."),
        (
            "evaluate {model} {data} --device cuda:99",
            "Error: This machine has no device cuda:99 that",
        ),
        (
            "train leccr --towers scenes --out {new} --device cuda:99",
            "Error: This machine has no device cuda:99 that",
        ),
    ],
)
def test_a_device_that_is_not_there_is_one_line(
    words: str, message: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    result = CliRunner().invoke(app, words.format(new=tmp_path / "new", **folders).split())
    assert result.exit_code == 2
    assert result.stderr.startswith(message) and result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
