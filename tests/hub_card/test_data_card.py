from typing import Any

import pytest
from huggingface_hub import DatasetCard

from hub_card.data_card import data_card, markdown_table, read_data_card
from hub_card.sections import merge_cards

TABLE = [
    {"split": "train", "images": "6000", "zh machine:baidu": "30000"},
    {"split": "validation", "images": "1000", "zh machine:baidu": "0"},
]


def card(**changes: Any) -> DatasetCard:
    arguments: dict[str, Any] = {
        "title": "Flickr8k-CN",
        "reader": "flickr8k-cn",
        "protocol": "Train on English.",
        "table": TABLE,
        "rows_by_split": {"train": 6000, "validation": 1000},
        "languages": ["en", "zh"],
        "published": "example.org",
    }
    return DatasetCard(data_card(**{**arguments, **changes}))


def test_the_front_matter_is_what_the_hub_reads() -> None:
    data = card().data.to_dict()
    assert data["pretty_name"] == "Flickr8k-CN"
    assert data["language"] == ["en", "zh"]
    assert data["size_categories"] == ["1K<n<10K"]
    (config,) = data["configs"]
    assert config["data_files"] == [
        {"split": "train", "path": "train-*-of-*.parquet"},
        {"split": "validation", "path": "validation-*-of-*.parquet"},
    ]


def test_it_states_protocol_origin_counts_and_what_was_left_out() -> None:
    text = card(options={"translation": ["baidu"], "task": 1}, notes=["train: left out 2 rows.", "And more."]).text
    for part in (
        "Prepared by `leccr prepare flickr8k-cn` with translation = baidu, task = 1.",
        "example.org",
        markdown_table(TABLE),
        "## Protocol\n\nTrain on English.",
        "## Left out or repaired\n\n- train: left out 2 rows.\n- And more.",
    ):
        assert part in text


def test_what_there_is_not_has_no_section() -> None:
    text = card(published=None).text
    assert "Prepared by `leccr prepare flickr8k-cn`.\n" in text
    assert "Left out" not in text and "licence" not in text


@pytest.mark.parametrize(
    ("count", "size"),
    [(999, "n<1K"), (1000, "1K<n<10K"), (99_999, "10K<n<100K"), (123_287, "100K<n<1M"), (2_000_000, "1M<n<10M")],
)
def test_size_categories(count: int, size: str) -> None:
    assert card(rows_by_split={"train": count}).data.to_dict()["size_categories"] == [size]


def test_a_title_with_a_colon_and_notes_with_dashes_stay_text() -> None:
    found = card(title='My "photos": 2020', notes=["---"])
    assert found.data.to_dict()["pretty_name"] == 'My "photos": 2020'


def test_the_table_is_aligned() -> None:
    assert markdown_table(TABLE) == (
        "| split      | images | zh machine:baidu |\n"
        "| ---------- | -----: | ---------------: |\n"
        "| train      |   6000 |            30000 |\n"
        "| validation |   1000 |                0 |"
    )


def test_a_model_card_reads_what_it_needs() -> None:
    text = str(card())
    assert read_data_card(text) == {
        "title": "Flickr8k-CN",
        "languages": ["en", "zh"],
        "published": "example.org",
        "prepared": "`leccr prepare flickr8k-cn`",
    }
    assert read_data_card("# Something else\n") == {}


def test_publishing_again_keeps_what_a_person_wrote() -> None:
    edited = str(card()) + "\nMy own words.\n"
    merged = merge_cards(edited, str(card(title="Flickr8k-CN, new")))
    assert "# Flickr8k-CN, new" in merged and "My own words." in merged
