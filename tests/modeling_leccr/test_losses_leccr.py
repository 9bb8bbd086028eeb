from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import Trainer, TrainingArguments

from modeling_leccr.objectives_leccr import contrastive_loss

from .tiny import (
    SPACE,
    assert_equal,
    batch,
    descriptions,
    evaluation_captions,
    form,
    random,
    visual_inputs,
)


@pytest.fixture(autouse=True)
def no_gradient() -> Iterator[None]:
    with torch.no_grad():
        yield


class TestTransfer:
    @staticmethod
    def teacher() -> dict[str, Tensor]:
        return {"source_teacher_embeds": random(4, 9, seed=20), "target_teacher_embeds": random(4, 9, seed=21)}

    @pytest.mark.parametrize("name", ["dual-encoder", "anchored"])
    def test_it_joins_the_loss(self, name: str) -> None:
        plain, taught = form(name)(**batch()), form(name, transfer_weight=0.6)(**batch(), **self.teacher())
        assert plain.loss_transfer is None and taught.loss_transfer > 0.01
        torch.testing.assert_close(taught.loss, plain.loss + 0.6 * taught.loss_transfer)

    def test_length_of_the_teacher_s_embeddings_does_not_matter(self) -> None:
        model, teacher = form("dual-encoder", transfer_weight=1.0), self.teacher()
        longer = {name: 7 * value for name, value in teacher.items()}
        torch.testing.assert_close(model(**batch(), **longer).loss, model(**batch(), **teacher).loss)

    def test_without_weight_the_teacher_is_ignored(self) -> None:
        assert torch.equal(form("published")(**batch(), **self.teacher()).loss, form("published")(**batch()).loss)

    def test_batches_that_need_no_teacher(self) -> None:
        model = form("dual-encoder", transfer_weight=0.5)
        source_only = {name: value for name, value in batch().items() if not name.startswith("target")}
        assert model(**source_only).loss.isfinite()
        assert model(**visual_inputs(), **evaluation_captions()).loss.isfinite()
        assert model(**batch(), return_loss=False).loss is None


class TestEvaluationBatch:
    @staticmethod
    def inputs() -> dict[str, Tensor]:
        return visual_inputs() | descriptions() | evaluation_captions()

    def test_views_and_captions(self) -> None:
        model, inputs = form("published"), self.inputs()
        output = model(**inputs)
        assert output.caption_embeds.shape == (4, 2, SPACE)
        single = model.get_text_features(inputs["caption_input_ids"][2], inputs["caption_attention_mask"][2])
        assert_equal(output.caption_embeds[2], single)
        logits = model.logit_scale.weight.exp() * output.caption_embeds[:, 0] @ output.image_embeds.T
        torch.testing.assert_close(output.loss, contrastive_loss(logits))

    @pytest.mark.parametrize("label_names", [None, ["caption_languages"]])
    def test_trainer_gets_loss_views_and_captions(self, label_names: list[str] | None, tmp_path: Path) -> None:
        arguments = TrainingArguments(str(tmp_path), use_cpu=True, report_to=[], label_names=label_names)
        trainer = Trainer(form("published"), arguments)
        loss, predictions, labels = trainer.prediction_step(trainer.model, self.inputs(), prediction_loss_only=False)
        expected = form("published")(**self.inputs())
        assert torch.equal(loss, expected.loss)
        views, captions = predictions
        assert torch.equal(views, expected.image_views) and torch.equal(captions, expected.caption_embeds)
        assert isinstance(labels, Tensor) == (label_names is not None)

    def test_mask_is_all_ones_unless_given(self) -> None:
        model, inputs = form("published"), self.inputs()
        inputs["caption_attention_mask"] = torch.ones_like(inputs["caption_input_ids"])
        expected = model(**inputs).caption_embeds
        del inputs["caption_attention_mask"]
        assert torch.equal(model(**inputs).caption_embeds, expected)
