import pytest
from typer.testing import CliRunner

from leccr.cli import app
from leccr.cli.overrides import parse_overrides


def test_overrides_may_be_written_in_every_usual_way() -> None:
    words = ["--learning-rate", "1e-4", "--run_name=a=b", "--bf16", "--weight_decay", "-0.1"]
    assert parse_overrides(words) == {
        "learning_rate": "1e-4",
        "run_name": "a=b",
        "bf16": "true",
        "weight_decay": "-0.1",
    }


@pytest.mark.parametrize(("typed", "meant"), [("--towrs", "--towers"), ("--warmstart=x", "--warm-start")])
@pytest.mark.parametrize("command", [["train"], ["recipes", "show"]])
def test_a_misspelt_option_is_told_before_the_hub_is_asked(command: list[str], typed: str, meant: str) -> None:
    words = [*command, "leccr", typed, *([] if "=" in typed else ["scenes"])]
    out = ["--out", "nowhere"] if command == ["train"] else []
    result = CliRunner().invoke(app, [*words, *out])
    assert result.exit_code == 2
    assert f"There is no option {typed.partition('=')[0]}; did you mean {meant}?" in result.output
