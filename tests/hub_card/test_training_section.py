import pytest

from hub_card.training_section import training_section

RECIPE = {
    "name": "leccr",
    "network": "cross-modal",
    "vision": {"model_type": "resnet", "depths": [1, 1]},
    "text": "google-bert/bert-base-multilingual-cased",
    "tokenizer": "learned",
    "training": {"learning_rate": 0.001, "num_train_epochs": 7, "eval_steps": 112},
    "augmentation": {"scale": [0.5, 1.0]},
    "model": {"num_slots": 4, "slot_anchor": None},
    "new_layers_learning_rate": 0.0001,
    "lora": 0,
    "seed": 3,
}


def test_towers_and_hyper_parameters_are_listed() -> None:
    assert training_section(RECIPE).splitlines()[2:] == [
        "- Vision tower: `resnet`, trained from scratch.",
        "- Text tower: `google-bert/bert-base-multilingual-cased`.",
        "- Tokenizer: learned from the training captions.",
        "",
        "| setting | value |",
        "| --- | ---: |",
        "| `learning_rate` | 0.001 |",
        "| `num_train_epochs` | 7 |",
        "| `scale` | 0.5, 1.0 |",
        "| `num_slots` | 4 |",
        "| `new_layers_learning_rate` | 0.0001 |",
        "| `seed` | 3 |",
    ]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"vision": None}, "- Vision tower: none: visual features were computed ahead."),
        ({"dual_encoder": "org/clip", "vision": None}, "- Starts from the dual encoder `org/clip`."),
        ({"warm_start": "teacher"}, "- Its text encoder starts as that of `teacher`."),
        ({"tokenizer": "org/t"}, "- Tokenizer: `org/t`."),
        ({"lora": 8}, "| `lora` | 8 |"),
    ],
)
def test_what_differs_between_recipes(changes: dict[str, object], line: str) -> None:
    assert line in training_section({**RECIPE, **changes}).splitlines()


def test_a_text_only_model_has_no_vision_tower() -> None:
    assert "Vision" not in training_section({**RECIPE, "network": "cross-lingual", "vision": None})
