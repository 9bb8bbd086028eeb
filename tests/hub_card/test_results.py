from typing import Any

import pytest
from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml, parse_eval_result_entries
from huggingface_hub.repocard_data import model_index_to_eval_results

from hub_card.results import (
    check_results,
    eval_records,
    model_index,
    results_section,
    results_table,
    validation_results,
)

from .figures import result, sentence_result, training


def test_the_table_has_a_line_a_language_and_the_figures_of_both_directions() -> None:
    lines = results_table([result("de"), result("xx", start=50.0)]).splitlines()
    assert len(lines) == 4
    assert [cell.strip() for cell in lines[2].strip("|").split("|")] == [
        "German (de)",
        "20.1 / 30.1 / 40.1",
        "25.1 / 35.1 / 45.1",
        "3 / 4",
        "195.7",
    ]
    assert lines[3].startswith("| xx (xx)")


def test_each_table_has_its_protocol() -> None:
    text = results_section([result("de"), result("de", images_with_description=0), result("fr", split="validation")])
    for heading in ("test`, with descriptions", "test`, without descriptions", "validation`, with descriptions"):
        assert text.count(f"### multi30k, split `{heading}\n") == 1
    assert text.count("all 1,000 pictures of the split, each with its description.") == 2
    assert text.count("all 1,000 pictures of the split.") == 1
    assert "German: 5,000 captions, written by people." in text
    assert "Ties count against the model." in text


def test_text_only_figures() -> None:
    text = results_section([sentence_result()])
    assert "to source caption hit@1 / 5 / 10" in text
    assert "German: 900 captions, translated by test." in text


def test_pictures_with_a_description_are_counted() -> None:
    assert "600 of them with its description." in results_section([result(images_with_description=600)])


def test_a_model_that_takes_no_descriptions_has_none_in_its_protocol() -> None:
    text = results_section([result()], takes_descriptions=False)
    assert "### multi30k, split `test`\n" in text and "description" not in text


def test_the_datas_title_stands_for_their_folder() -> None:
    assert "### Multi30K, split `test`" in results_section([result(title="Multi30K")])
    (entry,) = model_index([result(title="Multi30K, task 1")], "m")[0]["results"]
    assert entry["dataset"]["type"] == "multi30k-task-1" and entry["dataset"]["name"] == "Multi30K, task 1 (German)"


def test_the_index_has_figures_without_descriptions_only_where_there_are_no_others() -> None:
    without = result(start=5.0, images_with_description=0)
    _, entries = model_index_to_eval_results(model_index([without, result()], "m"))
    assert len(entries) == 7 and entries[0].metric_value == 20.12
    _, entries = model_index_to_eval_results(model_index([without], "m"))
    assert len(entries) == 7 and entries[0].metric_value == 5.12


def test_validation_figures_come_from_the_training_report() -> None:
    english, german = validation_results(training())
    assert (english["language"], german["language"]) == ("en", "de")
    assert german["text_to_image_hit_rate_1"] == 30.123
    assert results_table([english, german]).count("\n") == 3
    assert validation_results({}) == validation_results({"validation": {}}) == []


def test_the_model_index_is_read_back_by_huggingface_hub() -> None:
    name, entries = model_index_to_eval_results(model_index([result("de"), result("fr")], "m", "org/multi30k"))
    assert name == "m"
    assert len(entries) == 14
    first = entries[0]
    assert (first.dataset_type, first.dataset_config, first.dataset_split) == ("org/multi30k", "de", "test")
    assert (first.metric_type, first.metric_value) == ("text_to_image_hit_rate_1", 20.12)
    assert {entry.dataset_config for entry in entries} == {"de", "fr"}


def test_records_are_read_back_by_huggingface_hub() -> None:
    files = eval_records([result("de"), result("de", images_with_description=0)], "org/multi30k")
    assert list(files) == ["multi30k_test_de.yaml", "multi30k_test_de_without_descriptions.yaml"]
    entries = files["multi30k_test_de.yaml"]
    assert parse_eval_result_entries(eval_result_entries_to_yaml(entries)) == entries
    assert entries[0] == EvalResultEntry(
        dataset_id="org/multi30k",
        task_id="de_text_to_image_hit_rate_1",
        value=20.12,
        notes="split test, 1000 images with a description",
    )


def test_the_mean_rank_variance_has_its_captions() -> None:
    variance = {"value": 12.346, "captions": 1014, "languages": ["en", "de"]}
    said = "Mean rank variance (MRV) over 1,014 parallel captions in English, German: 12.35."
    assert said in results_section([{**result(), "mean_rank_variance": variance}])
    assert "MRV" not in results_section([result()])


@pytest.mark.parametrize("wrong", [[{}], [1], [{**result(), "protocol": {}}], [{**result(), "sum_of_hit_rates": "x"}]])
def test_other_files_are_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="a.json holds no figures"):
        check_results(wrong, "a.json")
    assert check_results([result()], "a.json") == [result()]
