from pathlib import Path

import pytest
import typer

from leccr.cli.lists import comma_hint, split_numbers, split_paths, split_words


def test_words_have_commas_between_and_options_may_be_repeated() -> None:
    assert split_words(["de,fr", "cs"]) == ["de", "fr", "cs"]
    assert split_words(["de, fr"]) == ["de", "fr"]
    assert split_words(None) is None
    assert split_words([]) is None


@pytest.mark.parametrize("value", ["", "de,", ",", "de,,fr"])
def test_a_missing_word_is_an_error(value: str) -> None:
    with pytest.raises(typer.BadParameter, match="separated by commas, such as a,b"):
        split_words([value])


def test_numbers_are_whole() -> None:
    assert split_numbers(["3,4", "0"]) == [3, 4, 0]
    assert split_numbers(None) is None
    for value in ("3;4", "a", "-1", "1.5"):
        with pytest.raises(typer.BadParameter, match="whole numbers separated by commas"):
            split_numbers([value])


def test_a_file_with_a_comma_in_its_name_is_one_path(tmp_path: Path) -> None:
    file = tmp_path / "a,b.json"
    file.touch()
    assert split_paths([file]) == [file]
    assert split_paths([Path("x.json,y.json"), Path("z.json")]) == [Path("x.json"), Path("y.json"), Path("z.json")]
    assert split_paths(None) is None


def test_spaces_between_values_are_answered_with_the_comma_form() -> None:
    options = {"--languages", "--to"}
    hint = comma_hint(["data", "--languages", "de", "fr", "--seed", "1"], options)
    assert hint == "Separate several values by commas: --languages de,fr"
    hint = comma_hint(["data", "--to", "de,", "fr"], options)
    assert hint == "Separate several values by commas: --to de,fr"
    assert comma_hint(["data", "--languages", "de,fr", "--seed", "1"], options) is None
    assert comma_hint(["data", "--seed", "1", "2"], options) is None
