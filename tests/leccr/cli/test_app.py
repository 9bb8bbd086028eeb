import errno
import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import Mock, create_autospec

import pytest
import torch
from typer.testing import CliRunner

import leccr.recipes
from leccr.cli import app
from leccr.errors import UserError
from leccr.evaluation.evaluate import EvaluationOptions

AGAIN = "Add --resume to the same command to resume from the last checkpoint, if one was written."


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def stand_in(monkeypatch: pytest.MonkeyPatch, module: str, name: str) -> Mock:
    """Replace an implementation by a mock that accepts only the real one's arguments."""
    real = getattr(importlib.import_module(module), name)
    mock = create_autospec(real, return_value=None)
    monkeypatch.setattr(f"{module}.{name}", mock)
    return mock


@pytest.fixture(autouse=True)
def here(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder with a data set `d` and a model `folder`, as if everything was in the cache of the Hub."""
    folder = tmp_path_factory.mktemp("here")
    for name, file in (("d", "train-00000-of-00001.parquet"), ("folder", "config.json")):
        (folder / name).mkdir()
        (folder / name / file).touch()
    monkeypatch.chdir(folder)
    monkeypatch.setattr("leccr.hub.reach.need_from_hub", lambda *args, **kwargs: None)


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> Mock:
    return stand_in(monkeypatch, "leccr.training.train", "run_training")


def test_help_names_every_command_and_loads_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from leccr.cli import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit as stop:\n    assert stop.code == 0\n"
        "heavy = {'torch', 'transformers', 'datasets', 'numpy', 'yaml'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    for command in ("train", "evaluate", "quickstart", "prepare", "embed-captions", "recipes"):
        assert f"\n  {command} " in result.stdout


def test_recipes_lists_recipes_and_towers() -> None:
    result = run("recipes")
    assert result.exit_code == 0
    names = [line.split()[0] for line in result.stdout.splitlines() if line.startswith("  ")]
    assert names == [*leccr.recipes.list_recipes(), *leccr.recipes.list_towers()]


def test_recipes_show_prints_a_file_to_train_from(training: Mock, tmp_path: Path) -> None:
    result = run("recipes", "show", "leccr", "--towers", "scenes", "--learning_rate", "2e-3")
    assert result.exit_code == 0, result.output
    assert "#   model.softened_weight: 0.5 -> 0.0\n" in result.stdout
    shown = tmp_path / "shown.yaml"
    shown.write_text(result.stdout, encoding="utf-8")
    assert run("recipes", "show", str(shown)).stdout == result.stdout.partition("-> 0.0\n")[2]
    assert run("train", str(shown), "--out", str(tmp_path / "out")).exit_code == 0
    recipe = training.call_args.args[0]
    assert (recipe.name, recipe.model["softened_weight"], recipe.training["learning_rate"]) == ("leccr", 0.0, 2e-3)


def test_recipes_show_takes_what_training_starts_from() -> None:
    shown = run("recipes", "show", "cl2cm", "--towers", "scenes", "--warm-start", "teacher", "--lora", "8").stdout
    assert "\nwarm_start: teacher\n" in shown and "\nlora: 8\n" in shown


def test_recipes_show_says_what_is_wrong() -> None:
    result = run("recipes", "show", "lecr")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert result.stderr.startswith('Error: There is no recipe "lecr"')


def test_train_hands_over_everything(training: Mock, tmp_path: Path) -> None:
    words = f"train leccr --data d --out {tmp_path} --languages de,fr --seed 7 --resume --skip-broken --plots"
    result = run(*words.split(), "--learning_rate", "1e-4", "--max-steps=3", "--bf16")
    assert result.exit_code == 0, result.output
    (recipe,) = training.call_args.args
    assert recipe.name == "leccr"
    assert {name: recipe.training[name] for name in ("learning_rate", "max_steps", "bf16")} == {
        "learning_rate": 1e-4,
        "max_steps": 3,
        "bf16": True,
    }
    assert (recipe.data, recipe.languages, recipe.seed, recipe.skip_broken) == ("d", ["de", "fr"], 7, True)
    assert training.call_args.kwargs == {"output": tmp_path, "resume": True, "plots": True}


def test_towers_that_are_not_here_name_some_that_need_no_download(
    training: Mock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need = Mock(side_effect=UserError("It is not here."))
    monkeypatch.setattr("leccr.hub.reach.need_from_hub", need)
    (tmp_path / "mine.yaml").write_text("text: nobody/no-text\ntokenizer: learned\n")
    assert run("train", str(tmp_path / "mine.yaml"), "--out", str(tmp_path / "out")).exit_code == 2
    need.assert_called_once_with(["nobody/no-text", None], alternative="--towers scenes needs no download.")
    assert not training.called


def test_train_puts_other_towers_under_the_recipe(training: Mock, tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text("text: small-text\n")
    result = run("train", "leccr", "--towers", str(tmp_path / "small.yaml"), "--out", str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    assert training.call_args.args[0].text == "small-text"


def test_train_starts_from_a_teacher_if_asked(training: Mock, tmp_path: Path) -> None:
    assert run("train", "cl2cm", "--warm-start", "teacher", "--out", str(tmp_path)).exit_code == 0
    assert training.call_args.args[0].warm_start == "teacher"
    assert run("train", "cl2cm", "--out", str(tmp_path)).exit_code == 0
    assert training.call_args.args[0].warm_start is None


def test_train_starts_from_a_dual_encoder_if_asked(training: Mock, tmp_path: Path) -> None:
    assert run("train", "leccr", "--dual-encoder", "org/clip", "--out", str(tmp_path)).exit_code == 0
    recipe = training.call_args.args[0]
    assert (recipe.dual_encoder, recipe.vision) == ("org/clip", None)


def test_without_languages_the_data_decide(training: Mock, tmp_path: Path) -> None:
    assert run("train", "leccr", "--data", "d", "--out", str(tmp_path)).exit_code == 0
    assert training.call_args.args[0].languages is None


def test_a_saved_recipe_keeps_its_data_languages_and_seed(training: Mock, tmp_path: Path) -> None:
    saved = tmp_path / "recipe.yaml"
    saved.write_text("name: leccr\ndata: d\nlanguages: [no]\nseed: 7\nskip_broken: true\nlora: 8\n")
    assert run("train", str(saved), "--out", str(tmp_path / "out")).exit_code == 0
    recipe = training.call_args.args[0]
    assert (recipe.name, recipe.data, recipe.languages, recipe.seed, recipe.lora) == ("leccr", "d", ["no"], 7, 8)
    assert recipe.skip_broken
    assert run("train", str(saved), "--out", str(tmp_path / "out"), "--seed", "0", "--data", "scenes").exit_code == 0
    recipe = training.call_args.args[0]
    assert (recipe.data, recipe.languages, recipe.seed) == ("scenes", ["no"], 0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "leccr --learning_rat 1",
            'Error: Unknown key "learning_rat" on the command line: did you mean "learning_rate"?',
        ),
        ("lecr", 'Error: There is no recipe "lecr"'),
        ("--learning_rate 1 leccr", "Error: The recipe comes first: leccr train RECIPE --learning_rate ..."),
        ("leccr --max_steps 1 2", 'Error: "2" belongs to no option: write --field value.'),
        (
            "leccr --optim adafactor",
            'Error: The key "optim" on the command line cannot be set: every recipe trains with AdamW',
        ),
        ("leccr --output_dir x", 'Error: The key "output_dir" on the command line is set elsewhere: use --out.'),
    ],
)
def test_bad_input_to_train_is_one_line_and_trains_nothing(
    training: Mock, tmp_path: Path, words: str, message: str
) -> None:
    result = run("train", *words.split(), "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert result.stderr.startswith(message)
    assert result.stderr.count("\n") == 1
    assert not training.called
    assert not (tmp_path / "out").exists()


def test_evaluate_hands_over_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluation = stand_in(monkeypatch, "leccr.evaluation.evaluate", "run_evaluation")
    words = "evaluate folder d --languages de,fr --split test --out result.json --batch-size 8 --plots drawn"
    words += " --no-descriptions --skip-broken --device cpu --dtype bf16"
    assert run(*words.split()).exit_code == 0
    evaluation.assert_called_once_with(
        ["folder"],
        "d",
        EvaluationOptions("test", ["de", "fr"], False, batch_size=8, skip_broken=True, device="cpu", dtype="bf16"),
        output=Path("result.json"),
        plots=Path("drawn"),
        calibrate=False,
    )


def test_without_plots_none_are_asked_for(training: Mock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    evaluation = stand_in(monkeypatch, "leccr.evaluation.evaluate", "run_evaluation")
    assert run("evaluate", "folder", "d").exit_code == 0
    assert evaluation.call_args.kwargs["plots"] is None
    assert run("train", "leccr", "--out", str(tmp_path)).exit_code == 0
    assert training.call_args.kwargs["plots"] is False


@pytest.mark.parametrize("words", ["evaluate folder scenes --plots {0}", "train leccr --out {0} --plots"])
def test_plots_without_matplotlib_are_one_line_before_any_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: str
) -> None:
    # None makes Python say that there is no such module.
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for name in ("leccr.evaluation.plots", "leccr.drawing.figures"):
        monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.delattr(name, raising=False)
    result = run(*words.format(tmp_path / "out").split())
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert result.stderr.startswith("Error: Drawing plots needs libraries that are not installed: pip install 'matplot")
    assert not (tmp_path / "out").exists()


def test_embed_captions_hands_over_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    embedding = stand_in(monkeypatch, "leccr.training.embed_captions", "run_embedding")
    result = run("embed-captions", "d", "--model", "teacher", "--batch-size", "8", "--device", "cpu", "--dtype", "fp16")
    assert result.exit_code == 0, result.output
    embedding.assert_called_once_with("d", "teacher", 8, "cpu", "fp16", False)


def test_quickstart_hands_over_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    quickstart = stand_in(monkeypatch, "leccr.quickstart", "run_quickstart")
    assert run("quickstart", "--out", "here", "--seed", "3", "--overwrite", "--device", "cpu").exit_code == 0
    quickstart.assert_called_once_with(output=Path("here"), seed=3, overwrite=True, device="cpu")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (UserError("two\nlines"), "two lines"),
        (FileNotFoundError("There is no folder x."), "There is no folder x."),
        (
            OSError(errno.ENOSPC, "No space left on device", "model.pt"),
            "model.pt: the disk is full, or a quota is used up; free some space. " + AGAIN,
        ),
        (PermissionError(errno.EACCES, "Permission denied", "/out"), "/out: Permission denied."),
    ],
)
def test_what_the_user_can_put_right_is_one_line(
    training: Mock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    monkeypatch.delenv("LECCR_DEBUG", raising=False)
    training.side_effect = error
    result = run("train", "leccr", "--out", str(tmp_path))
    assert (result.exit_code, result.stderr) == (2, f"Error: {message}\n")


def test_debugging_shows_the_whole_error(training: Mock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LECCR_DEBUG", "1")
    training.side_effect = error = UserError("bad")
    assert run("train", "leccr", "--out", str(tmp_path)).exception is error


@pytest.mark.parametrize("error", [ValueError("deep inside"), KeyError("bug"), ModuleNotFoundError("no numpy")])
def test_a_bug_is_shown_whole_and_says_how_to_report_it(training: Mock, tmp_path: Path, error: Exception) -> None:
    training.side_effect = error
    result = run("train", "leccr", "--out", str(tmp_path))
    lines = result.stderr.splitlines()
    assert result.exit_code == 1
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-2].startswith(type(error).__name__)
    assert "CONTRIBUTING.md" in lines[-1] and '"Reporting a bug"' in lines[-1]


def test_too_little_memory_is_no_bug(training: Mock, tmp_path: Path) -> None:
    training.side_effect = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB.")
    result = run("train", "leccr", "--out", str(tmp_path))
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: The memory does not suffice") and result.stderr.count("\n") == 1


def test_interrupting_is_one_line_that_says_how_to_resume(training: Mock, tmp_path: Path) -> None:
    training.side_effect = KeyboardInterrupt
    result = run("train", "leccr", "--out", str(tmp_path))
    message = "Interrupted. Add --resume to the same command to resume from the last checkpoint, if one was written.\n"
    assert (result.exit_code, result.stderr) == (130, message)
