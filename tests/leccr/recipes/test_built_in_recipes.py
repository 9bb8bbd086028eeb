from typing import Any

import pytest

from leccr.recipes import Recipe, list_recipes, list_towers, load_recipe
from tests.modeling_leccr.tiny import batch, random, sentence_pairs, tiny_cross_lingual, tiny_model


def test_the_built_in_recipes_load_and_have_descriptions() -> None:
    assert {"dual-encoder", "late-fusion", "leccr"} <= set(list_recipes())
    for name, description in list_recipes().items():
        recipe = load_recipe(name)
        assert recipe.name == name
        assert recipe.description == description != ""


def test_the_built_in_recipes_are_the_methods_they_are_named_after() -> None:
    dual, fusion, leccr = (load_recipe(name).model for name in ("dual-encoder", "late-fusion", "leccr"))
    assert dual["num_slots"] == 0 and not dual["description_fusion"]
    assert fusion["num_slots"] == 0 and fusion["description_fusion"]
    assert leccr["num_slots"] > 0


def test_the_recipes_of_cl2cm() -> None:
    teacher, cl2cm, both = (load_recipe(name) for name in ("cross-lingual", "cl2cm", "leccr-cl2cm"))
    assert teacher.network == "cross-lingual" and teacher.vision is None and teacher.augmentation == {}
    assert teacher.model["sentence_weight"] > 0 and teacher.model["word_weight"] > 0
    assert {cl2cm.network, both.network} == {"cross-modal"}
    assert cl2cm.model["num_slots"] == cl2cm.model["source_target_weight"] == 0 < cl2cm.model["transfer_weight"]
    plain, leccr = load_recipe("dual-encoder").model, load_recipe("leccr").model
    assert cl2cm.model == {**plain, "source_target_weight": 0.0, "transfer_weight": cl2cm.model["transfer_weight"]}
    # Nothing but the transfer is added to LECCR.
    assert both.model == {**leccr, "transfer_weight": cl2cm.model["transfer_weight"]}
    assert both.training == load_recipe("leccr").training


# The settings of the files before recipes could extend each other and name towers.
LECCR = {
    "num_slots": 4,
    "slot_layers": 3,
    "interaction_layers": 2,
    "interaction_heads": 8,
    "slot_anchor": "text",
    "description_gradient": True,
    "description_dropout": 0.1,
    "alpha": 0.8,
    "beta": 0.8,
    "slot_weight": 0.01,
    "slot_vision_weight": 0.01,
    "softened_weight": 0.5,
    "diversity_weight": 0.01,
    "source_target_weight": 1.0,
    "fused_weight": 0.0,
}
PUBLISHED: dict[str, Any] = {
    "vision": "openai/clip-vit-base-patch32",
    "text": "google-bert/bert-base-multilingual-cased",
    "image_processor": {"size": {"height": 384, "width": 384}, "do_center_crop": False},
    "augmentation": {"scale": [0.5, 1.0], "flip": False},
    "training": {
        "learning_rate": 1e-5,
        "adam_beta1": 0.9,
        "adam_beta2": 0.98,
        "weight_decay": 0.01,
        "warmup_steps": 0.1,
        "lr_scheduler_type": "linear",
        "per_device_train_batch_size": 128,
        "num_train_epochs": 50,
    },
}
SMALL: dict[str, Any] = {
    "vision": {
        "model_type": "resnet",
        "layer_type": "basic",
        "embedding_size": 32,
        "hidden_sizes": [32, 64, 128],
        "depths": [1, 1, 1],
        "downsample_in_first_stage": False,
    },
    "text": {
        "model_type": "bert",
        "hidden_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 256,
        "max_position_embeddings": 128,
    },
    "tokenizer": "learned",
    "image_processor": {"size": {"height": 64, "width": 64}, "do_center_crop": False},
    "processor": {"text_max_length": 48, "description_max_length": 128},
    "training": {
        "bf16": False,
        "learning_rate": 1e-3,
        "weight_decay": 0.01,
        "warmup_steps": 20,
        "lr_scheduler_type": "linear",
        "per_device_train_batch_size": 64,
        "per_device_eval_batch_size": 100,
        "num_train_epochs": 7,
        "eval_strategy": "steps",
        "save_strategy": "steps",
        "eval_steps": 112,
        "save_steps": 112,
    },
}
SMALL_LECCR = {
    **LECCR,
    "slot_layers": 1,
    "interaction_layers": 1,
    "interaction_heads": 4,
    "slot_weight": 0.1,
    "softened_weight": 0.0,
    "text_pooling": "mean",
    "projection_dim": 128,
    "logit_scale_init_value": 3.0,
}


@pytest.mark.parametrize(
    ("name", "towers", "model", "expected"),
    [
        ("leccr", None, {**LECCR, "interpolate_pos_encoding": True}, PUBLISHED),
        ("leccr-cl2cm", None, {**LECCR, "interpolate_pos_encoding": True, "transfer_weight": 1.0}, PUBLISHED),
        (
            "cl2cm",
            None,
            {
                "num_slots": 0,
                "description_fusion": False,
                "source_target_weight": 0.0,
                "softened_weight": 0.0,
                "transfer_weight": 1.0,
                "interpolate_pos_encoding": True,
            },
            PUBLISHED,
        ),
        (
            "cross-lingual",
            None,
            {"sentence_weight": 1.0, "word_weight": 0.1},
            {**PUBLISHED, "network": "cross-lingual", "vision": None, "image_processor": None, "augmentation": {}},
        ),
        ("leccr", "scenes", SMALL_LECCR, SMALL),
        ("leccr-cl2cm", "scenes", {**SMALL_LECCR, "transfer_weight": 1.0}, SMALL),
    ],
)
def test_what_built_in_recipes_come_to(
    name: str, towers: str | None, model: dict[str, Any], expected: dict[str, Any]
) -> None:
    loaded = load_recipe(name, towers)
    assert loaded == Recipe(name=name, description=list_recipes()[name], model=model, **expected)


@pytest.mark.parametrize("towers", list_towers())
@pytest.mark.parametrize("recipe", list_recipes())
def test_every_recipe_takes_all_built_in_towers(recipe: str, towers: str) -> None:
    loaded = load_recipe(recipe, towers)
    assert (loaded.text is None) == (towers == "siglip2") == (loaded.dual_encoder is not None)
    assert loaded.name == recipe


@pytest.mark.parametrize("towers", [None, *list_towers()])
@pytest.mark.parametrize("name", list_recipes())
def test_one_step_of_a_recipe_trains_every_weight_that_it_does_not_freeze(name: str, towers: str | None) -> None:
    recipe = load_recipe(name, towers)
    inputs = sentence_pairs() if recipe.network == "cross-lingual" else batch()
    inputs |= {f"{side}_teacher_embeds": random(4, 9, seed=7) for side in ("source", "target")}
    # The tiny tower has fewer layers.
    fields = recipe.model | ({"text_layers": [2, 1]} if recipe.model.get("text_layers") else {})
    model = (tiny_cross_lingual if recipe.network == "cross-lingual" else tiny_model)(**fields).train()
    model(**inputs).loss.backward()
    trained = {key: weight for key, weight in model.named_parameters() if weight.requires_grad}
    assert trained and [key for key, weight in trained.items() if weight.grad is None] == []
