"""The processor of a dual encoder: its own image processor and tokenizer, and texts as long as it was trained with."""

from pathlib import Path

import pytest
import torch
from transformers import CLIPImageProcessorPil

from leccr.dual_encoders import dual_encoder_processor
from modeling_leccr import LeccrModel
from processing import LeccrProcessor
from processing.tokenizers import train_tokenizer
from tests.modeling_leccr.tiny_dual_encoders import LENGTH, dual_encoder
from tests.tiny_data import picture

TEXTS = ["a dog", "a brown dog runs over a meadow"]


def save(family: str, folder: Path) -> None:
    dual_encoder(family).save_pretrained(folder)
    # SigLIP's tokenizers give no mask.
    tokenizer = train_tokenizer(TEXTS, vocabulary_size=50)
    tokenizer.model_input_names = ["input_ids"]
    tokenizer.save_pretrained(folder)
    CLIPImageProcessorPil(size={"height": 32, "width": 32}, do_center_crop=False).save_pretrained(folder)


@pytest.mark.parametrize("family", ["siglip", "clip"])
@torch.no_grad()
def test_texts_go_from_processor_to_model_as_in_the_original(family: str, tmp_path: Path) -> None:
    save(family, tmp_path / "source")
    dual_encoder_processor(tmp_path / "source").save_pretrained(tmp_path / "saved")
    processor = LeccrProcessor.from_pretrained(tmp_path / "saved")
    batch = processor(text=TEXTS, images=[picture(), picture("blue")], descriptions=[TEXTS[1], None])
    fixed = family == "siglip"
    assert (batch["input_ids"].shape[1] == LENGTH) == (batch["description_input_ids"].shape[1] == LENGTH) == fixed
    assert batch["attention_mask"].sum(1).tolist() == [4, 9]
    assert batch["description_attention_mask"].sum(1).tolist() == [9, 0]
    model = LeccrModel.from_dual_encoder(tmp_path / "source", num_slots=2, interaction_heads=2)
    original = {"input_ids": batch["input_ids"]} | ({} if fixed else {"attention_mask": batch["attention_mask"]})
    expected = dual_encoder(family).get_text_features(**original).pooler_output
    features = model.get_text_features(batch["input_ids"], batch["attention_mask"])
    torch.testing.assert_close(features, torch.nn.functional.normalize(expected, dim=-1), rtol=0, atol=1e-5)
    assert (
        model(
            **{name: value for name, value in batch.items() if "input" not in name or "desc" in name}
        ).image_views.shape[1]
        == 2
    )


def test_long_texts_are_cut_where_the_positions_end(tmp_path: Path) -> None:
    save("clip", tmp_path)
    batch = dual_encoder_processor(tmp_path)(text=["dog " * 100], descriptions=["dog " * 100])
    assert batch["input_ids"].shape[1] == batch["description_input_ids"].shape[1] == LENGTH
