from pathlib import Path
from typing import Any

import pytest
import torch

from processing.generation.answers import Decoding
from processing.generation.models import generate, load, load_model

from .tiny_models import build_madlad


class Failing:
    error: Exception

    @classmethod
    def from_pretrained(cls, name: str, **options: Any) -> None:
        raise cls.error


@pytest.mark.parametrize("error", [OSError("not\nthere"), ImportError("not there"), AttributeError("not there")])
def test_what_cannot_be_loaded_is_named(error: Exception, tmp_path: Path) -> None:
    Failing.error = error
    build_madlad(tmp_path)
    with pytest.raises(ValueError, match="^Cannot load .* as Failing: not there Do this.$"):
        load(Failing, str(tmp_path), "Do this.")


def test_a_full_memory_is_named_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoModelForSeq2SeqLM

    model = load_model(AutoModelForSeq2SeqLM, str(build_madlad(tmp_path)), None, "auto", "cpu")
    assert not model.training

    def fail(**options: Any) -> None:
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr(model, "generate", fail)
    with pytest.raises(ValueError, match="smaller --batch-size"):
        generate(model, {}, Decoding(4))


def test_a_checkpoints_own_sampling_is_turned_off(tmp_path: Path) -> None:
    from transformers import AutoModelForSeq2SeqLM

    model = load_model(AutoModelForSeq2SeqLM, str(build_madlad(tmp_path)), None, "auto", "cpu")
    model.generation_config.update(do_sample=True, temperature=2.0, top_p=0.99, top_k=9)
    inputs = {"input_ids": torch.tensor([[3, 4, 5, 1], [6, 7, 8, 1], [9, 10, 11, 1]])}
    made = [generate(model, inputs, Decoding(12)).tolist() for _ in range(5)]
    assert made == [made[0]] * 5
    drawn = [generate(model, inputs, Decoding(12, 1.0, seed)).tolist() for seed in range(9)]
    assert len({str(tokens) for tokens in drawn}) > 1
