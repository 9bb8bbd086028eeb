"""The cross-lingual network: what it returns, what it learns from, and how it is trained."""

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from transformers import Trainer, TrainingArguments

from modeling_leccr import CrossLingualModel, CrossLingualOutput
from modeling_leccr.objectives_leccr import contrastive_loss, same_image_labels
from modeling_leccr.transport_leccr import transport_costs, word_alignment_loss

from .tiny import (
    SPACE,
    TEXT_TOWERS,
    assert_equal,
    differ,
    evaluation_captions,
    gradients,
    padded_left,
    sentence_pairs,
    texts,
    tiny_cross_lingual,
)

FORMS: dict[str, dict[str, Any]] = {
    "both": {},
    "sentences": {"word_weight": 0.0},
    "words": {"sentence_weight": 0.0},
    "mean and hidden layer": {"text_pooling": "mean", "text_head": "mlp"},
}


@pytest.mark.parametrize("pooling, head", [("cls", "linear"), ("mean", "mlp")])
@pytest.mark.parametrize("kind", TEXT_TOWERS)
def test_texts(kind: str, pooling: str, head: str) -> None:
    model = tiny_cross_lingual(kind, text_pooling=pooling, text_head=head)
    inputs = texts([3, 6, 4])
    embeds = model.get_text_features(**inputs)
    assert embeds.shape == (3, SPACE)
    torch.testing.assert_close(embeds.norm(dim=-1), torch.ones(3))
    assert_equal(model.get_text_features(inputs["input_ids"][:1, :3])[0], embeds[0])
    assert differ(embeds[:-1], embeds[1:])
    assert set(model(**inputs)) == {"text_embeds"}
    assert_equal(model(**inputs)[0], embeds)


class TestForward:
    weights = torch.tensor([1.0, 0.5, 0.0, 2.0])

    def test_signature_tells_trainer_of_the_loss(self) -> None:
        assert inspect.signature(CrossLingualModel.forward).parameters["return_loss"].default is True

    def test_terms_are_what_they_say(self) -> None:
        model = tiny_cross_lingual(sentence_weight=0.7, word_weight=0.2, word_temperature=0.3, transport_iterations=9)
        pairs, labels = sentence_pairs(), same_image_labels(torch.tensor([0, 1, 2, 2]))
        output = model(**pairs, target_weights=self.weights)
        embeds, states, masks = {}, {}, {}
        for side in ("source", "target"):
            inputs = pairs[f"{side}_input_ids"], pairs[f"{side}_attention_mask"]
            embeds[side], states[side], masks[side] = (
                model.get_text_features(*inputs),
                model.text.tower(*inputs),
                inputs[1],
            )
            assert_equal(output[f"{side}_embeds"], embeds[side])
        logits = model.logit_scale.weight.exp() * embeds["target"] @ embeds["source"].T
        torch.testing.assert_close(output.loss_sentence, contrastive_loss(logits, labels, self.weights))
        costs = transport_costs(states["source"], states["target"], masks["source"], masks["target"], iterations=9)
        expected = word_alignment_loss(costs, 0.3, labels, self.weights)
        torch.testing.assert_close(output.loss_word, expected)
        torch.testing.assert_close(output.loss, 0.7 * output.loss_sentence + 0.2 * output.loss_word)

    def test_objectives_can_be_switched_off(self) -> None:
        pairs = sentence_pairs()
        both = tiny_cross_lingual()(**pairs)
        sentences = tiny_cross_lingual(word_weight=0.0)(**pairs)
        words = tiny_cross_lingual(sentence_weight=0.0)(**pairs)
        assert sentences.loss_word is None and torch.equal(sentences.loss, both.loss_sentence)
        torch.testing.assert_close(words.loss, 0.1 * both.loss_word)

    def test_settings_of_the_transport_arrive(self) -> None:
        losses = [
            tiny_cross_lingual(**fields)(**sentence_pairs()).loss_word
            for fields in (
                {},
                {"transport_regularization": 1.0},
                {"transport_iterations": 1},
                {"word_temperature": 0.5},
            )
        ]
        assert all(abs(losses[0] - other) > 1e-5 for other in losses[1:])

    def test_pairs_of_one_image_are_no_negatives(self) -> None:
        model, pairs = tiny_cross_lingual(), sentence_pairs()
        shared = model(**pairs)
        pairs["image_ids"] = torch.arange(4)
        apart = model(**pairs)
        for term in ("loss_sentence", "loss_word"):
            assert abs(shared[term] - apart[term]) > 1e-3
        del pairs["image_ids"]
        assert torch.equal(model(**pairs).loss, apart.loss)

    def test_padding_changes_nothing(self) -> None:
        model, pairs = tiny_cross_lingual(text_pooling="mean"), sentence_pairs()
        padded = {name: functional.pad(value, (0, 5)) if value.dim() == 2 else value for name, value in pairs.items()}
        torch.testing.assert_close(model(**padded).loss, model(**pairs).loss, rtol=0, atol=1e-5)

    def test_without_loss_and_one_side_alone(self) -> None:
        pairs = sentence_pairs()
        assert set(tiny_cross_lingual()(**pairs, return_loss=False)) == {"source_embeds", "target_embeds"}
        for side in ("source", "target"):
            alone = {name: value for name, value in pairs.items() if name.startswith(side)}
            assert set(tiny_cross_lingual()(**alone)) == {f"{side}_embeds"}

    def test_columns_of_other_networks_do_no_harm(self) -> None:
        model, pairs = tiny_cross_lingual(), sentence_pairs()
        assert torch.equal(model(**pairs, visual_features=torch.zeros(4, 1, 2)).loss, model(**pairs).loss)

    def test_no_text_at_all(self) -> None:
        with pytest.raises(ValueError, match="Give source_input_ids and target_input_ids, or caption_input_ids"):
            tiny_cross_lingual()()

    @pytest.mark.parametrize("name", ["target_input_ids", "image_ids", "target_weights"])
    def test_another_number_of_rows(self, name: str) -> None:
        changed = {name: torch.ones(3, 5, dtype=torch.long)}
        with pytest.raises(ValueError, match=f"{name} have 3 rows, but there are 4 source captions; give as many"):
            tiny_cross_lingual()(**(sentence_pairs() | changed))

    def test_an_empty_text(self) -> None:
        pairs = sentence_pairs()
        pairs["target_attention_mask"][2] = 0
        with pytest.raises(ValueError, match="Row 2 of attention_mask is all zero"):
            tiny_cross_lingual()(**pairs)


class TestEvaluationBatch:
    def test_captions_and_loss(self) -> None:
        model, inputs = tiny_cross_lingual(), evaluation_captions()
        output = model(**inputs)
        assert isinstance(output, CrossLingualOutput) and set(output) == {"loss", "caption_embeds"}
        assert output.caption_embeds.shape == (4, 2, SPACE)
        single = model.get_text_features(inputs["caption_input_ids"][2], inputs["caption_attention_mask"][2])
        assert_equal(output.caption_embeds[2], single)
        logits = model.logit_scale.weight.exp() * output.caption_embeds[:, 1] @ output.caption_embeds[:, 0].T
        torch.testing.assert_close(output.loss, contrastive_loss(logits))
        del inputs["caption_languages"]
        assert torch.equal(model(**inputs).loss, output.loss)
        assert model(**inputs, return_loss=False).loss is None

    def test_loss_pairs_the_first_captions_of_different_languages(self) -> None:
        model, captions = tiny_cross_lingual(), texts([5, 4, 6, 3, 7, 5, 4, 6, 5, 4, 3, 7], prefix="caption_")
        inputs = {name: value.unflatten(0, (4, 3)) for name, value in captions.items()}
        languages = torch.tensor([[0, 0, 2], [0, 1, 2], [0, 0, -100], [1, -100, 2]])
        output = model(**inputs, caption_languages=languages)
        source = output.caption_embeds[[0, 1, 3], 0]
        target = torch.stack([output.caption_embeds[0, 2], output.caption_embeds[1, 1], output.caption_embeds[3, 2]])
        torch.testing.assert_close(output.loss, contrastive_loss(model.logit_scale.weight.exp() * target @ source.T))

    def test_one_language_alone_has_no_loss(self) -> None:
        inputs = evaluation_captions() | {"caption_languages": torch.zeros(4, 2, dtype=torch.long)}
        assert tiny_cross_lingual()(**inputs).loss.item() == 0.0

    @pytest.mark.parametrize("label_names", [None, ["caption_languages"]])
    def test_trainer_gets_loss_and_captions(self, label_names: list[str] | None, tmp_path: Path) -> None:
        arguments = TrainingArguments(str(tmp_path), use_cpu=True, report_to=[], label_names=label_names)
        trainer = Trainer(tiny_cross_lingual(), arguments)
        inputs = evaluation_captions()
        loss, predictions, labels = trainer.prediction_step(trainer.model, inputs, prediction_loss_only=False)
        expected = tiny_cross_lingual()(**inputs)
        assert torch.equal(loss, expected.loss) and torch.equal(predictions, expected.caption_embeds)
        assert isinstance(labels, Tensor) == (label_names is not None)


class TestTraining:
    @pytest.mark.parametrize("name", FORMS)
    def test_every_weight_is_trained(self, name: str) -> None:
        model = tiny_cross_lingual(**FORMS[name]).train()
        model(**sentence_pairs()).loss.backward()
        assert gradients(model).keys() == {key for key, _ in model.named_parameters()}
        assert all(gradient.isfinite().all() for gradient in gradients(model).values())

    def test_words_alone_leave_the_head_alone(self) -> None:
        model = tiny_cross_lingual(sentence_weight=0.0).train()
        model(**sentence_pairs()).loss.backward()
        for name, gradient in gradients(model).items():
            assert (gradient.abs().max() > 0) == name.startswith("text.tower"), name

    @pytest.mark.parametrize("name", FORMS)
    def test_optimiser_brings_the_loss_down(self, name: str) -> None:
        model, pairs = tiny_cross_lingual(**FORMS[name], dropout=0.0).train(), sentence_pairs(8)
        optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
        losses = []
        for _ in range(25):
            optimizer.zero_grad()
            loss = model(**pairs).loss
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < 0.7 * losses[0]

    def test_stock_trainer(self, tmp_path: Path) -> None:
        pairs, captions = sentence_pairs(8), evaluation_captions()
        rows = [{name: value[row] for name, value in pairs.items()} for row in range(8)]
        evaluation = [{name: value[row] for name, value in captions.items()} for row in range(4)]
        arguments = TrainingArguments(
            str(tmp_path),
            use_cpu=True,
            report_to=[],
            num_train_epochs=8,
            per_device_train_batch_size=8,
            learning_rate=5e-3,
            lr_scheduler_type="constant",
            logging_steps=1,
            label_names=["caption_languages"],
            disable_tqdm=True,
        )
        trainer = Trainer(tiny_cross_lingual(dropout=0.0), arguments, train_dataset=rows, eval_dataset=evaluation)
        trainer.train()
        losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
        assert len(losses) == 8 and losses[-1] < losses[0] - 0.2
        prediction = trainer.predict(evaluation)
        assert prediction.predictions.shape == (4, 2, SPACE)
        assert prediction.label_ids.tolist() == [[0, 1]] * 4

    def test_temperature_may_be_fixed(self) -> None:
        for learned in (True, False):
            model = tiny_cross_lingual(learn_temperature=learned).train()
            model(**sentence_pairs()).loss.backward()
            assert ("logit_scale.weight" in gradients(model)) == learned

    @pytest.mark.parametrize("left", [False, True])
    def test_token_dropout_keeps_the_first_real_token(self, left: bool) -> None:
        model, inputs = tiny_cross_lingual(token_dropout=0.5).train(), texts([8, 5, 6] * 60)
        inputs = padded_left(inputs) if left else inputs
        real, masks = inputs["attention_mask"].bool(), []
        model.text.tower.register_forward_pre_hook(lambda _, arguments: masks.append(arguments[1].bool()))
        model.get_text_features(**inputs)
        first = real & (real.cumsum(1) == 1)
        assert masks[0][first].all() and not (masks[0] & ~real).any()
        assert 0.4 < masks[0][real & ~first].float().mean() < 0.6
        assert bool(first[:, 0].all()) != left

    def test_hidden_tokens_are_not_aligned(self) -> None:
        """The words that the tower does not see are not words of the sentence."""
        model, pairs = tiny_cross_lingual(token_dropout=1.0, dropout=0.0).train(), sentence_pairs()
        first_only = {name: value[:, :1] if value.dim() == 2 else value for name, value in pairs.items()}
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        torch.testing.assert_close(model(**pairs).loss_word, model(**first_only).loss_word)

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_autocast(self, dtype: torch.dtype) -> None:
        model = tiny_cross_lingual(dropout=0.0)
        expected = model(**sentence_pairs()).loss
        with torch.autocast("cpu", dtype=dtype):
            loss = model(**sentence_pairs()).loss
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, expected, rtol=0.1, atol=0.1)
        loss.backward()
        assert all(gradient.isfinite().all() for gradient in gradients(model).values())

    def test_half_precision_weights(self) -> None:
        model, pairs = tiny_cross_lingual(), sentence_pairs()
        expected = model(**pairs)
        output = model.to(torch.bfloat16)(**pairs)
        assert output.source_embeds.dtype == torch.bfloat16
        torch.testing.assert_close(output.loss, expected.loss, rtol=0.1, atol=0.1)

    def test_activation_checkpointing(self) -> None:
        losses = []
        for checkpointing in (False, True):
            model = tiny_cross_lingual(dropout=0.0)
            if checkpointing:
                enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
                enable()
            torch.manual_seed(0)
            loss = model.train()(**sentence_pairs()).loss
            loss.backward()
            losses.append((loss.detach(), gradients(model)))
        torch.testing.assert_close(losses[1], losses[0], rtol=1e-4, atol=1e-6)
