from typing import Any

import pytest
import torch

from leccr.errors import UserError
from leccr.models.build import build_model, build_processor
from leccr.training.train import save_retriever
from tests.tiny_data import DUAL_ENCODER, recipe

TEXTS = ["A red Dog runs", "Ein roter Hund läuft", "一只红色的狗"]
TEXT_ONLY: dict[str, Any] = {"model": {"projection_dim": 8}, "network": "cross-lingual"}


@pytest.fixture(scope="module")
def teachers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, Any, Any]]:
    """Return a text-only teacher and a retriever, whose vocabulary is not that of the texts given later."""
    made = {}
    for name, fields in (("text", TEXT_ONLY), ("image", {})):
        own = recipe(**fields)
        processor = build_processor(own, ["Completely other words"])
        model = build_model(own, processor)
        folder = tmp_path_factory.mktemp(name)
        save_retriever(folder, model, processor)
        made[name] = str(folder), model, processor
    return made


class TestWarmStart:
    @pytest.mark.parametrize("name", ["text", "image"])
    @pytest.mark.parametrize("fields", [{}, TEXT_ONLY], ids=["cross-modal", "cross-lingual"])
    def test_text_tower_projection_and_tokenizer_are_the_teachers(
        self, teachers: dict[str, tuple[str, Any, Any]], name: str, fields: dict[str, Any]
    ) -> None:
        folder, teacher, processor = teachers[name]
        warm = recipe(**fields, warm_start=folder)
        made = build_processor(warm, TEXTS)
        vocabularies = [getattr(each, "tokenizer", each).get_vocab() for each in (made, processor)]
        assert vocabularies[0] == vocabularies[1]
        model = build_model(warm, made)
        for part in ("text.tower", "text.head"):
            own, expected = (network.get_submodule(part).state_dict() for network in (model, teacher))
            assert own.keys() == expected.keys()
            assert all(torch.equal(own[key], expected[key]) for key in own), part

    def test_the_rest_is_new(self, teachers: dict[str, tuple[str, Any, Any]]) -> None:
        folder, teacher, _ = teachers["image"]
        warm = recipe(warm_start=folder)
        model = build_model(warm, build_processor(warm, TEXTS))
        assert not torch.equal(model.image.interaction.queries.weight, teacher.image.interaction.queries.weight)

    def test_a_projection_of_another_shape_is_new(
        self, teachers: dict[str, tuple[str, Any, Any]], capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder, teacher, _ = teachers["text"]
        warm = recipe(model={**DUAL_ENCODER, "projection_dim": 6}, warm_start=folder)
        model = build_model(warm, build_processor(warm, TEXTS))
        name = "model.embeddings.word_embeddings.weight"
        assert torch.equal(model.text.tower.state_dict()[name], teacher.text.tower.state_dict()[name])
        assert f"The projection of {folder} is of another shape" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("text", "model", "difference"),
        [
            ({"num_hidden_layers": 2}, {}, "the weights model.encoder.layer.1."),
            ({"hidden_size": 8}, {}, "the weights model.embeddings.LayerNorm.bias"),
            ({"num_attention_heads": 4}, {}, "num_attention_heads"),
            ({"vocab_size": 999}, {}, "the weights model.embeddings.word_embeddings.weight"),
            ({"model_type": "roberta"}, {}, "model_type"),
            ({}, {"text_pooling": "mean"}, "text_pooling"),
        ],
    )
    def test_another_text_tower_is_refused(
        self,
        teachers: dict[str, tuple[str, Any, Any]],
        text: dict[str, Any],
        model: dict[str, Any],
        difference: str,
    ) -> None:
        folder = teachers["text"][0]
        tower: Any = {**recipe().text, **text}  # type: ignore[dict-item]
        other = recipe(model={**DUAL_ENCODER, **model}, text=tower, warm_start=folder)
        with pytest.raises(UserError, match=f"Recipe tiny cannot start from {folder}: .* differ in {difference}"):
            build_model(other, build_processor(other, TEXTS))

    def test_no_model_of_that_name(self) -> None:
        with pytest.raises(UserError, match="There is no model .*absent"):
            build_processor(recipe(warm_start="absent"), TEXTS)
