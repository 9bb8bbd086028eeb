"""Models that start as a dual encoder: its embeddings and scores to begin with, and better ones after training."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import (
    BertModel,
    CLIPVisionConfig,
    CLIPVisionModel,
    DistilBertConfig,
    DistilBertModel,
    PreTrainedModel,
)

from modeling_leccr import LeccrModel
from processing import RetrievalCollator
from tests.tiny_data import processor, scenes

from .tiny import TRANSFORMER, VOCABULARY, differ, random, text_config, texts
from .tiny_dual_encoders import END, FAMILIES, LENGTH, SPACE, dual_encoder, two_models

SLOTS: dict[str, Any] = {"num_slots": 3, "slot_layers": 1, "interaction_layers": 1, "interaction_heads": 2}
PICTURES = random(4, 3, 32, 32)


def start(source: Any, **fields: Any) -> LeccrModel:
    torch.manual_seed(1)
    return LeccrModel.from_dual_encoder(source, **(SLOTS | fields)).eval()


def sentences(family: str, seed: int = 0) -> dict[str, Tensor]:
    """Return four texts of different lengths that end as the family's tokenizer ends them."""
    inputs = texts([5, 9, 3, 7], seed)
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    ids = torch.where(ids == END, END + 1, ids)
    ids[torch.arange(4), mask.sum(1) - 1] = VOCABULARY - 1 if family == "clip of OpenAI" else END
    if family != "siglip":
        return {"input_ids": ids, "attention_mask": mask}
    filler = torch.ones(4, LENGTH - ids.shape[1], dtype=torch.long)
    return {
        "input_ids": torch.cat([ids.masked_fill(mask == 0, 1), filler], dim=1),
        "attention_mask": torch.cat([mask, 0 * filler], dim=1),
    }


def original_inputs(family: str, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return what the original takes: SigLIP's tokenizers give no mask, so its text tower sees the padding."""
    return {"input_ids": inputs["input_ids"]} if family == "siglip" else inputs


def described(family: str, rows: int = 4) -> dict[str, Tensor]:
    inputs = sentences(family, seed=5)
    inputs["attention_mask"][rows:] = 0
    return {f"description_{name}": value for name, value in inputs.items()}


def unit(features: Any) -> Tensor:
    features = getattr(features, "pooler_output", features)
    return features / features.norm(dim=-1, keepdim=True)


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5)


@pytest.fixture(params=FAMILIES, scope="module")
def family(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def source(family: str) -> PreTrainedModel:
    return dual_encoder(family)


@pytest.fixture(scope="module")
def model(source: PreTrainedModel) -> LeccrModel:
    return start(source)


class TestBeforeTraining:
    @torch.no_grad()
    def test_texts(self, family: str, source: PreTrainedModel, model: LeccrModel) -> None:
        inputs = sentences(family)
        expected = unit(source.get_text_features(**original_inputs(family, inputs)))
        assert torch.pdist(expected).min() > 1e-2
        close(model.get_text_features(**inputs), expected)

    @torch.no_grad()
    def test_texts_may_come_with_less_padding(self, family: str, model: LeccrModel) -> None:
        """As the pipelines of transformers pad them, to the longest of a batch, which SigLIP was not trained with."""
        inputs = sentences(family)
        close(
            model.get_text_features(inputs["input_ids"][:, :9], inputs["attention_mask"][:, :9]),
            model.get_text_features(**inputs),
        )

    @pytest.mark.parametrize("rows", [0, 2, 4])
    @torch.no_grad()
    def test_images_with_and_without_description(
        self, family: str, source: PreTrainedModel, model: LeccrModel, rows: int
    ) -> None:
        expected = unit(source.get_image_features(pixel_values=PICTURES))
        assert torch.pdist(expected).min() > 1e-2
        images = model.encode_images(PICTURES, **(described(family, rows) if rows else {}))
        close(images.image_embeds, expected)
        close(images.image_views, expected.unsqueeze(1).expand(-1, 3, -1))

    @torch.no_grad()
    def test_scores_of_a_gallery(self, family: str, source: PreTrainedModel, model: LeccrModel) -> None:
        inputs = sentences(family)
        expected = source(**original_inputs(family, inputs), pixel_values=PICTURES).logits_per_text
        views = model.get_image_views(PICTURES, **described(family))
        logits = model.get_logits(model.get_text_features(**inputs), views)
        torch.testing.assert_close(logits, expected, rtol=0, atol=1e-4)

    @torch.no_grad()
    def test_saved_and_loaded(self, family: str, model: LeccrModel, tmp_path: Path) -> None:
        model.save_pretrained(tmp_path)
        loaded, report = LeccrModel.from_pretrained(tmp_path, output_loading_info=True)
        assert {problem: keys for problem, keys in report.items() if keys} == {}
        inputs = sentences(family)
        assert torch.equal(loaded.get_text_features(**inputs), model.get_text_features(**inputs))
        assert torch.equal(loaded.get_image_views(PICTURES), model.get_image_views(PICTURES))
        assert loaded.config.logit_bias == model.config.logit_bias

    @torch.no_grad()
    def test_an_open_gate_lets_description_and_interaction_in(self, family: str, source: PreTrainedModel) -> None:
        alone = start(source).get_image_features(PICTURES)
        for gate, needs_description in (("interaction_gate", False), ("image_gate", True)):
            model = start(source)
            getattr(model.image.anchor, gate).weight.fill_(1.0)
            assert differ(model.get_image_features(PICTURES, **described(family)), alone)
            assert differ(model.get_image_features(PICTURES), alone) != needs_description
        for gate, needs_description in (("slot_gate", False), ("part_gate", True)):
            model = start(source)
            getattr(model.image.anchor, gate).weight.fill_(1.0)
            slots = model.encode_images(PICTURES, **described(family)).slot_embeds
            assert differ(slots, alone.unsqueeze(1).expand_as(slots))
            without = model.encode_images(PICTURES).slot_embeds
            assert differ(without, alone.unsqueeze(1).expand_as(without)) != needs_description


def test_training_lowers_the_loss_and_leaves_the_towers(family: str) -> None:
    data = scenes(num_train=8, num_validation=1, num_test=1)["train"]
    prepare = processor(data, text_max_length=LENGTH, description_max_length=LENGTH)
    prepare.pad_to_max_length = family == "siglip"
    assert prepare.tokenizer.sep_token_id == END
    batch = RetrievalCollator(prepare, ["de", "zh"])([data[number] for number in range(8)])
    model = start(dual_encoder(family, len(prepare.tokenizer)), softened_weight=0.0, dropout=0.0).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=1e-2)
    losses = []
    for _ in range(10):
        optimizer.zero_grad()
        loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert not any(name.startswith(("image.tower.", "text.tower.")) for name in moved)
    gates = {f"image.anchor.{gate}.weight" for gate in ("slot_gate", "part_gate", "image_gate", "interaction_gate")}
    assert gates | {"image.interaction.queries.weight", "image.anchor.queries.weight"} <= moved


def test_from_a_folder(tmp_path: Path) -> None:
    source = dual_encoder("siglip")
    source.save_pretrained(tmp_path)
    model = start(tmp_path)
    close(model.get_image_features(PICTURES), unit(source.get_image_features(pixel_values=PICTURES)).detach())
    assert model.config.logit_bias == source.logit_bias.item() != 0


def test_a_high_temperature_is_kept_and_can_be_learned() -> None:
    source = dual_encoder("siglip")
    source.logit_scale.data.fill_(4.77)
    model = start(source)
    scale = model.inverse_temperature()
    assert scale.item() == pytest.approx(source.logit_scale.exp().item(), rel=1e-6) and scale > 117
    scale.backward()
    assert model.logit_scale.weight.grad > 0


def test_fields_of_ones_own() -> None:
    model = start(dual_encoder("clip"), freeze_text=False, num_slots=0)
    assert all(weight.requires_grad for weight in model.text.tower.parameters())
    assert not any(weight.requires_grad for weight in model.image.tower.parameters())
    close(model.get_image_features(PICTURES), unit(dual_encoder("clip").get_image_features(pixel_values=PICTURES)))


class TestErrors:
    def test_another_kind_of_model(self) -> None:
        with pytest.raises(ValueError, match=r"BertModel \(bert\) is not a dual encoder known here; give one of these"):
            start(BertModel(text_config()))

    def test_a_field_of_the_source(self) -> None:
        with pytest.raises(ValueError, match="projection_dim comes from the dual encoder; leave it out."):
            start(dual_encoder("clip"), projection_dim=SPACE)

    def test_a_text_tower_without_pooling_layer(self) -> None:
        text = DistilBertModel(DistilBertConfig(dim=32, n_layers=1, n_heads=2, hidden_dim=16, vocab_size=VOCABULARY))
        vision = CLIPVisionModel(CLIPVisionConfig(**TRANSFORMER, image_size=32, patch_size=8))
        with pytest.raises(ValueError, match="The text tower distilbert has no pooling layer like BERT's"):
            start(two_models(vision, text))

    def test_an_incomplete_checkpoint(self, tmp_path: Path) -> None:
        dual_encoder("clip").save_pretrained(tmp_path)
        weights = load_file(tmp_path / "model.safetensors")
        del weights["text_projection.weight"]
        save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(ValueError, match="lacks 1 weights, the first is text_projection.weight"):
            start(tmp_path)
