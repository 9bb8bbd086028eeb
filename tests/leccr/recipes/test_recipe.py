from pathlib import Path

import pytest

from leccr.errors import UserError
from leccr.recipes import Recipe, list_recipes, list_towers, load_recipe, override_training


def write(folder: Path, text: str, name: str = "mine") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_text_only_recipe_takes_of_towers_what_concerns_texts() -> None:
    recipe = load_recipe("cross-lingual", "scenes")
    assert (recipe.vision, recipe.image_processor, recipe.augmentation) == (None, None, {})
    assert recipe.text == load_recipe("leccr", "scenes").text
    assert recipe.model["text_pooling"] == "mean"
    assert not {"slot_layers", "softened_weight"} & set(recipe.model)


def test_a_text_only_recipe_itself_knows_only_its_own_fields(tmp_path: Path) -> None:
    text = "network: cross-lingual\nmodel: {num_slots: 2}"
    with pytest.raises(UserError, match='Unknown key "num_slots" in recipe mine under model'):
        load_recipe(write(tmp_path, text))
    with pytest.raises(UserError, match='Unknown key "word_weight" in recipe mine under model'):
        load_recipe(write(tmp_path, "model: {word_weight: 1.0}"))
    with pytest.raises(UserError, match="The value of network in recipe mine has to be cross-modal or cross-lingual"):
        load_recipe(write(tmp_path, "network: lingual"))


def test_numbers_and_words_mean_what_they_look_like(tmp_path: Path) -> None:
    text = "training: {learning_rate: 1e-5, weight_decay: .5E-2, eval_strategy: no, bf16: true}"
    recipe = load_recipe(write(tmp_path, text))
    assert recipe.training == {"learning_rate": 1e-5, "weight_decay": 0.005, "eval_strategy": "no", "bf16": True}


def test_a_file_is_named_after_itself_and_empty_sections_are_empty(tmp_path: Path) -> None:
    assert load_recipe(write(tmp_path, "model:\ntraining: {}\n")) == Recipe(name="mine")


def test_towers_are_a_block_whose_values_hold(tmp_path: Path) -> None:
    method = "model: {num_slots: 2, dropout: 0.3}\ntraining: {bf16: true}\n"
    towers = "towers: {vision: a, text: b, model: {dropout: 0.0}, training: {max_steps: 5}}"
    recipe = load_recipe(write(tmp_path, method + towers))
    assert (recipe.vision, recipe.text) == ("a", "b")
    assert recipe.model == {"num_slots": 2, "dropout": 0.0}
    assert recipe.training == {"bf16": True, "max_steps": 5}


def test_other_towers_replace_the_recipes_own_and_leave_nothing_of_them(tmp_path: Path) -> None:
    own = "towers: {vision: a, text: b, augmentation: {flip: true}, model: {vision_grid: 2, dropout: 0.0}}"
    recipe_path = write(tmp_path, "model: {num_slots: 2}\n" + own)
    other = write(
        tmp_path, "description: Small ones.\ntext: c\nmodel: {dropout: 0.2}\nnew_layers_learning_rate: 1e-3", "other"
    )
    expected = Recipe(name="mine", text="c", model={"num_slots": 2, "dropout": 0.2}, new_layers_learning_rate=1e-3)
    assert load_recipe(recipe_path, other) == expected


def test_a_recipe_extends_another_and_keeps_its_towers(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    write(tmp_path / "below", "text: b\nprocessor: {text_max_length: 9}", "small")
    base = "description: The base.\nlora: 8\ntowers: small.yaml\nmodel: {num_slots: 2, dropout: 0.3}\n"
    write(tmp_path / "below", base + "training: {max_steps: 3}", "base")
    mine = "extends: below/base.yaml\nmodel: {dropout: 0.1, alpha: 0.5}\ntraining:\nlora: 4"
    assert load_recipe(write(tmp_path, mine)) == Recipe(
        name="mine",
        text="b",
        lora=4,
        processor={"text_max_length": 9},
        model={"num_slots": 2, "dropout": 0.1, "alpha": 0.5},
        training={"max_steps": 3},
    )
    write(tmp_path, "text: c", "other")
    assert load_recipe(write(tmp_path, mine + "\ntowers: other.yaml")).text == "c"


def test_what_towers_change_in_the_method_is_told() -> None:
    changes = load_recipe("leccr", "scenes").changes
    assert [str(change) for change in changes] == [
        "model.interaction_heads: 8 -> 4",
        "model.interaction_layers: 2 -> 1",
        "model.slot_layers: 3 -> 1",
        "model.slot_weight: 0.01 -> 0.1",
        "model.softened_weight: 0.5 -> 0.0",
    ]
    assert load_recipe("leccr").changes == load_recipe("dual-encoder", "scenes").changes == ()
    assert [change.setting for change in load_recipe("cross-lingual", "scenes").changes] == []


@pytest.mark.parametrize("towers", [None, *list_towers()])
@pytest.mark.parametrize("name", list_recipes())
def test_a_recipe_written_out_is_read_as_the_same(tmp_path: Path, name: str, towers: str | None) -> None:
    recipe = load_recipe(name, towers)
    again = load_recipe(write(tmp_path, recipe.to_yaml(), "recipe"))
    assert again == recipe
    assert again.changes == ()
    written = recipe.to_yaml().splitlines()
    assert again.to_yaml().splitlines() == [line for line in written if not line.startswith("#")]


def test_the_settings_of_a_run_are_written_out_too(tmp_path: Path) -> None:
    recipe = Recipe(name="mine", image_processor={}, data="d", languages=["no"], skip_broken=True, seed=3, lora=8)
    assert load_recipe(write(tmp_path, recipe.to_yaml(), "recipe")) == recipe


def test_a_dual_encoder_takes_the_place_of_the_recipes_towers(tmp_path: Path) -> None:
    recipe = load_recipe("leccr", dual_encoder="org/clip")
    assert (recipe.dual_encoder, recipe.vision, recipe.text, recipe.image_processor) == ("org/clip", None, None, None)
    assert (recipe.model["slot_anchor"], recipe.model["num_slots"]) == ("image", 4)
    assert "interpolate_pos_encoding" not in recipe.model
    own = write(tmp_path, "dual_encoder: a\nmodel: {freeze_text: false}\ntraining: {max_steps: 5}")
    assert load_recipe("leccr", own).dual_encoder == "a"
    recipe = load_recipe("leccr", own, dual_encoder="b")
    assert (recipe.dual_encoder, recipe.model["freeze_text"], recipe.training) == ("b", False, {"max_steps": 5})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: other", 'Unknown key "name" in towers other.'),
        ("model: {num_slot: 4}", 'Unknown key "num_slot" in towers other under model: did you mean "num_slots"?'),
    ],
)
def test_wrong_towers_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        load_recipe("leccr", write(tmp_path, text, "other"))
    assert str(error.value) == message


def test_unknown_towers_are_refused() -> None:
    with pytest.raises(UserError, match='no choice of towers "nowhere"'):
        load_recipe("leccr", "nowhere")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modle: {}", 'Unknown key "modle" in recipe mine: did you mean "model"?'),
        ("model: {num_slot: 4}", 'Unknown key "num_slot" in recipe mine under model: did you mean "num_slots"?'),
        (
            "training: {learning_rat: 1}",
            'Unknown key "learning_rat" in recipe mine under training: did you mean "learning_rate"?',
        ),
        (
            "processor: {text_length: 9}",
            'Unknown key "text_length" in recipe mine under processor: did you mean "text_max_length"?',
        ),
        ("augmentation: {flips: true}", 'Unknown key "flips" in recipe mine under augmentation: did you mean "flip"?'),
        (
            "text: {model_type: bert, hidden_sizes: 8}",
            'Unknown key "hidden_sizes" in recipe mine under text: did you mean "hidden_size"?',
        ),
        ("text: {model_type: brt}", 'The text tower needs a model_type that transformers has, not "brt": did you mean'),
        ("training: {qqqqqqqq: 1}", 'Unknown key "qqqqqqqq" in recipe mine under training.'),
        (
            "training: {output_dir: here}",
            'The key "output_dir" in recipe mine under training is set elsewhere: use --out.',
        ),
        ("model: {num_slots: many}", 'num_slots in recipe mine under model has to be a whole number, but is "many".'),
        ("model: {num_slots: true}", "num_slots in recipe mine under model has to be a whole number"),
        (
            "model: {text_layers: 12}",
            "text_layers in recipe mine under model has to be a list of whole numbers, such as",
        ),
        (
            "model: {slot_anchor: txt}",
            'slot_anchor in recipe mine under model has to be none or text or image, but is "txt".',
        ),
        ("training: {bf16: yes}", 'bf16 in recipe mine under training has to be true or false, but is "yes".'),
        ("model: [1, 2]", "The section model in recipe mine has to be `key: value` lines."),
        ("towers: scene", 'There is no choice of towers "scene" and no file of that name: did you mean "scenes"?'),
        ("towers: [clip]", "The text in recipe mine under towers has to be `key: value` lines."),
        ("towers: {visoin: a}", 'Unknown key "visoin" in recipe mine under towers: did you mean "vision"?'),
        ("just words", "is not a recipe"),
        ("model: {", "is not valid YAML"),
        ("extends: lecr", 'There is no recipe "lecr" and no file of that name: did you mean "leccr"?'),
        ("extends: [leccr]", "The value of extends in recipe mine has to be text, but is \"['leccr']\"."),
        ("extends: mine.yaml", "mine.yaml extends itself"),
        ("languages: [no, 1]", "The languages in recipe mine have to be a list of codes, such as [de, fr]."),
        ("training: {seed: 1}", 'The key "seed" in recipe mine under training is set elsewhere: use --seed.'),
    ],
)
def test_a_wrong_file_is_refused_with_the_key_and_the_remedy(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        load_recipe(write(tmp_path, text))
    assert message in str(error.value)


def test_an_unknown_recipe_suggests_the_nearest_and_lists_all() -> None:
    with pytest.raises(UserError, match='no recipe "lecr".*did you mean "leccr".*dual-encoder, late-fusion, leccr'):
        load_recipe("lecr")


def test_overrides_replace_training_settings_by_the_kind_of_each_field() -> None:
    recipe = Recipe(name="mine", training={"learning_rate": 1.0, "num_train_epochs": 2})
    words = {
        "learning_rate": "1e-4",
        "bf16": "true",
        "run_name": "007",
        "eval_strategy": "no",
        "report_to": "none",
        "max_steps": "7",
        "logging_steps": "010",
        "label_names": "[a, b]",
        "new_layers_learning_rate": "1e-3",
    }
    changed = override_training(recipe, words)
    assert changed.training == {
        "learning_rate": 1e-4,
        "num_train_epochs": 2,
        "bf16": True,
        "run_name": "007",
        "eval_strategy": "no",
        "report_to": "none",
        "max_steps": 7,
        "logging_steps": 10,
        "label_names": ["a", "b"],
    }
    assert changed.new_layers_learning_rate == 1e-3
    assert recipe.training == {"learning_rate": 1.0, "num_train_epochs": 2}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"learning_rat": "1"}, 'Unknown key "learning_rat" on the command line: did you mean "learning_rate"?'),
        (
            {"learning_rate": "fast"},
            'The value of learning_rate on the command line has to be a number, but is "fast".',
        ),
        ({"max_steps": "1.5"}, 'The value of max_steps on the command line has to be a whole number, but is "1.5".'),
        ({"max_steps": "["}, 'The value "[" of max_steps on the command line cannot be read.'),
        ({"output_dir": "x"}, 'The key "output_dir" on the command line is set elsewhere: use --out.'),
        (
            {"optim": "adafactor"},
            'The key "optim" on the command line cannot be set: every recipe trains with AdamW; leave it out.',
        ),
    ],
)
def test_a_wrong_override_is_refused(overrides: dict[str, str], message: str) -> None:
    with pytest.raises(UserError) as error:
        override_training(Recipe(name="mine"), overrides)
    assert str(error.value) == message


def test_lower_case_is_for_learned_vocabularies_unless_said() -> None:
    shares = {towers: load_recipe("leccr", towers).lower_case_share for towers in ("scenes", "published", "siglip2")}
    assert shares == {"scenes": 1.0, "published": 0.0, "siglip2": 0.0}
    assert Recipe("own", tokenizer="learned", lower_case=0.3).lower_case_share == 0.3
    assert Recipe("own", lower_case=0.5).lower_case_share == 0.5


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(UserError, match="lower_case in recipe own has to be from 0 to 1, but is"):
        Recipe("own", lower_case=share)
