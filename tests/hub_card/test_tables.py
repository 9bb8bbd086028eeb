from hub_card.tables import markdown_table

ROWS = [{"split": "train", "reader": "a", "images": "6000"}, {"split": "validation", "reader": "bc", "images": "10"}]


def test_the_first_column_is_aligned_to_the_left() -> None:
    assert markdown_table(ROWS) == (
        "| split      | reader | images |\n"
        "| ---------- | -----: | -----: |\n"
        "| train      |      a |   6000 |\n"
        "| validation |     bc |     10 |"
    )


def test_as_many_columns_as_asked_for_are_aligned_to_the_left() -> None:
    assert markdown_table(ROWS, labels=2).splitlines()[1:3] == [
        "| ---------- | ------ | -----: |",
        "| train      | a      |   6000 |",
    ]


def test_a_table_without_rows_has_the_columns_that_are_named() -> None:
    assert markdown_table([], columns=["split", "images"]) == "| split | images |\n| ----- | -----: |"
    assert markdown_table([]) == ""
