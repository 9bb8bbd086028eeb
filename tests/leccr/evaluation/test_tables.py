import pytest

from leccr.evaluation.metrics import SENTENCE_DIRECTIONS
from leccr.evaluation.tables import evaluation_table, format_table


def table_row(recipe, language, rate):
    rates = {f"{way}_hit_rate_{k}": rate for way in ("text_to_image", "image_to_text") for k in (1, 5, 10)}
    return {"recipe": recipe, "language": language, "sum_of_hit_rates": 6 * rate, **rates}


def test_table_is_aligned_markdown():
    table = format_table([table_row("dual-encoder", "de", 7.25), table_row("leccr", "zh", 100.0)])
    lines = table.splitlines()
    assert len({len(line) for line in lines}) == 1
    assert [cell.strip() for cell in lines[0].strip("|").split("|")] == [
        "recipe",
        "language",
        "text-to-image hit@1/5/10",
        "image-to-text hit@1/5/10",
        "SumR",
    ]
    assert set(lines[1]) == set("|-: ")
    assert lines[2].split("|")[3].strip() == "7.2 /   7.2 /   7.2"
    assert lines[3].startswith("| leccr        | zh       |")
    assert lines[3].endswith("| 600.0 |")
    assert table.isascii()


def test_table_has_the_label_columns_asked_for():
    row = {**table_row("leccr", "zh", 50.0), "seed": 3}
    assert (
        format_table([row], label_columns=["recipe", "language", "seed"]).splitlines()[2].split("|")[3].strip() == "3"
    )


def test_table_of_other_directions():
    row = {"language": "de", "sum_of_hit_rates": 60.0}
    row.update({f"{direction}_hit_rate_{k}": 10.0 for direction in SENTENCE_DIRECTIONS for k in (1, 5, 10)})
    header = format_table([row], ["language"], directions=SENTENCE_DIRECTIONS).splitlines()[0]
    assert "target-to-source hit@1/5/10" in header and "source-to-target hit@1/5/10" in header


def test_table_without_rows_is_a_header():
    assert len(format_table([]).splitlines()) == 2


def test_table_names_the_missing_column():
    row = table_row("leccr", "zh", 50.0)
    del row["image_to_text_hit_rate_5"]
    with pytest.raises(ValueError, match="image_to_text_hit_rate_5"):
        format_table([row])


def test_the_table_of_an_evaluation_has_sizes_and_speed():
    def result(model, language, **more):
        speed = {"parameters": 86_200_000, "texts_per_second": 1234.6, "images_per_second": 3.21}
        return {**table_row("", language, 50.0), **speed, **more, "protocol": {"checkpoint": model}}

    lines = evaluation_table([result("a", "de"), result("b", "de", parameters=1_300_000_000)]).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[2] == ["a", "de", *["50.0 /  50.0 /  50.0"] * 2, "300.0", "86.2M", "1,235", "3.2"]
    assert cells[3][5] == "1.3B"
    # Of ready-made features there is no speed of pictures.
    [header, _, line] = evaluation_table([result("a", "de", images_per_second=None)]).splitlines()
    assert "pictures/s" not in header and line.startswith("| de ")
