"""What typer refuses is told as all other mistakes are: in one sentence, with exit code 2."""

from typing import Any

import pytest
from typer.testing import CliRunner

from leccr.cli import app


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments), prog_name="leccr")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("serch g dog", 'There is no command "serch"; did you mean `leccr search`?'),
        ("qqqq", 'There is no command "qqqq"; `leccr --help` lists them.'),
        ("info g", 'There is no command "info"; did you mean `leccr gallery info`?'),
        ("gallery inof g", 'There is no command "inof"; did you mean `leccr gallery info`?'),
        ("recipes shw leccr", 'There is no command "shw"; did you mean `leccr recipes show`?'),
        ("--versio", "There is no option --versio; did you mean --version?"),
        ("search g dog --modle m", "There is no option --modle; did you mean --model?"),
        ("search g dog -model m", "There is no option -model; did you mean --model?"),
        ("search g dog --exat=1", "There is no option --exat; did you mean --exact?"),
        ("gallery check g --repare", "There is no option --repare; did you mean --repair?"),
        ("search g dog --qqqq", "There is no option --qqqq; `leccr search --help` lists them."),
        ("search g dog -k three", '-k takes a whole number from 1 to 1000000, not "three".'),
        ("search g dog -k 2.5", '-k takes a whole number from 1 to 1000000, not "2.5".'),
        ("demo --port http", '--port takes a whole number from 1 to 65535, not "http".'),
        ("demo --port 0", '--port takes a whole number from 1 to 65535, not "0".'),
        ("demo --training-scenes 1", '--training-scenes takes a whole number from 50 to 100000, not "1".'),
        ("describe d --model m --temperature hot", '--temperature takes a number from 0 to 100, not "hot".'),
        ("prepare multi30k --out o --task one", '--task takes a whole number from 1 to 2, not "one".'),
        ("search", "GALLERY is missing; add it: folder that `leccr index` wrote."),
        ("index photos --out o", "--model is missing; add it: folder or Hub name of a trained model"),
        ("translate d --to de", "--model is missing; add it: NLLB-200, M2M-100, MADLAD-400 or Marian: folder, Hub"),
        ("evaluate a b d", 'leccr evaluate has no use for "d"; several models have commas between: a,b.'),
        ("evaluate m d --out", "--out needs a value; `leccr evaluate --help` says which."),
        ("search g dog --exact=yes", "--exact takes no value; write --exact alone."),
        ("gallery info g more", 'leccr gallery info has no use for "more"; `leccr gallery info --help` says what it'),
        ("evaluate m d --languages de,", "--languages: write values separated by commas, such as a,b, not 'de,'."),
        ("prepare folder --out o --shares 8;1;1", "Write whole numbers separated by commas, such as 3,4, not '8;1;1'"),
        ("train leccr --out o -x", '"-x" belongs to no option: write --field value.'),
    ],
)
def test_a_command_line_that_cannot_be_read_is_one_sentence(words: str, sentence: str) -> None:
    result = run(*words.split())
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    [line] = result.stderr.splitlines()
    assert line.startswith(f"Error: {sentence}")


def test_words_that_steer_the_terminal_are_escaped() -> None:
    result = run("search", "g", "--\x1b[2J\n")
    assert result.exit_code == 2 and "\x1b" not in result.stderr and result.stderr.count("\n") == 1


@pytest.mark.parametrize("words", [[], ["gallery"]])
def test_without_a_command_the_help_is_shown(words: list[str]) -> None:
    result = run(*words)
    assert result.exit_code == 2 and "Usage: leccr" in result.output and "Error" not in result.output


@pytest.mark.parametrize("words", [["--help"], ["gallery", "--help"], ["recipes", "--help"]])
def test_summaries_of_commands_are_whole_at_80_columns(words: list[str]) -> None:
    result = CliRunner().invoke(app, words, env={"COLUMNS": "80"})
    listed = result.stdout.partition("Commands:\n")[2].splitlines()
    assert listed and not [line for line in listed if len(line) > 80 or "..." in line or not line.endswith((".", ")"))]
