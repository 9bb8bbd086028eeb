import numpy as np
import pytest

from benchmarks.pretrained.data import paired_by_image
from benchmarks.pretrained.galleries import disturbed, exchanged, undescribed
from benchmarks.pretrained.report import settings_table
from benchmarks.pretrained.rows import COMPARISONS, ROWS
from benchmarks.pretrained.translations import trusted
from leccr.recipes.load import TOWERS_FOLDER
from tests.tiny_data import dataset, row

NAMES = [f"{number:02d}" for number in range(20)]


def test_rows_have_names_and_settings_of_their_own() -> None:
    assert len({each.key for each in ROWS}) == len(ROWS)
    methods = {each.name for each in ROWS if each.block == "methods"}
    assert {name for pair in COMPARISONS for name in pair} <= methods
    recipes = [each.recipe(TOWERS_FOLDER / "small.yaml") for each in ROWS]
    assert all(recipe.training["eval_strategy"] == "no" for recipe in recipes)


@pytest.mark.parametrize("share", [0.1, 0.3, 1.0])
def test_exchanged_descriptions_are_of_other_images(share: float) -> None:
    descriptions = {name: f"This is {name}." for name in NAMES}
    moved = exchanged(descriptions, share)
    assert sorted(moved.values()) == sorted(descriptions.values())
    assert sum(moved[name] != descriptions[name] for name in NAMES) == share * len(NAMES)


def test_galleries_with_fewer_descriptions() -> None:
    rows = dataset([row(name, description=f"This is {name}.\nIt is red.") for name in NAMES])
    galleries = disturbed(rows)
    assert galleries["one sentence"]["description"] == [f"This is {name}." for name in NAMES]
    assert galleries["none described"]["description"] == [None] * len(NAMES)
    without = np.array([text is None for text in galleries["half described"]["description"]])
    assert np.array_equal(undescribed(len(NAMES)), without) and without.sum() == 10


def test_a_teacher_can_pair_any_captions_of_an_image() -> None:
    (target,) = paired_by_image(dataset([row("a", ["de"], captions=1)]))["target_captions"][0]
    assert target["source_number"] is None and target["text"] == "de a 0"


def test_a_table_has_the_rows_that_are_run() -> None:
    first = next(each for each in ROWS if each.block == "transfer")
    figures = {"as trained": {code: {"sum_of_hit_rates": 100.0} for code in ("zh", "en")}}
    results = [{"block": first.block, "row": first.name, "seed": 0, "galleries": figures}]
    assert settings_table(results, "transfer").count(first.name) == 1
    assert settings_table(results, "slots") == ""


def test_the_worst_translations_are_left_out_unless_an_image_has_no_others() -> None:
    rows = dataset([row("a", ["de"], captions=2), row("b", ["de"], captions=2), row("c", ["de"], captions=1)])
    kept = trusted(rows, [[0.9, 0.1], [0.8, 0.7], [0.2]], worst=0.4)["target_captions"]
    assert [[target["source_number"] for target in own] for own in kept] == [[0], [0, 1], [0]]


def test_translations_below_the_median_weigh_less() -> None:
    rows = dataset([row("a", ["de"], captions=3)])
    (weighed,) = trusted(rows, [[0.9, 0.5, 0.25]], worst=None)["target_captions"]
    assert [target["weight"] for target in weighed] == [1.0, 1.0, 0.5]
