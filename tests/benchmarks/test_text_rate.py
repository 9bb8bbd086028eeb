from pathlib import Path

import numpy as np
import pytest

from benchmarks.text_rate import CAPTIONS, compare, read_captions, save_transformer
from leccr.models.checkpoints import load_retriever
from leccr.models.model_encoder import ModelEncoder
from tests.tiny_data import processor, row


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    folder = tmp_path / "shared" / "data" / "flickr8k-cn"
    (folder / "captions").mkdir(parents=True)
    (folder / "flickr8kval.txt").write_text("1_a\n2_b\n", encoding="utf-8")
    for language, name in CAPTIONS.items():
        lines = [
            f"{image}.jpg#{language}#{number} {language} {image} {number}"
            for image in ("1_a", "2_b", "3_c")
            for number in (0, 1)
        ]
        (folder / "captions" / name).write_text("\n".join(lines), encoding="utf-8")
    return tmp_path / "shared"


def test_captions_are_those_of_validation_pictures(shared: Path) -> None:
    found = read_captions(shared, 4)
    for language in ("en", "zh"):
        assert sorted(found[language]) == [
            f"{language} {image} {number}" for image in ("1_a", "2_b") for number in (0, 1)
        ]
    assert len(found["en+zh"]) == 4 and {text[:2] for text in found["en+zh"]} == {"en", "zh"}


def test_both_libraries_are_timed_on_the_same_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_transformer(processor([row("a")]), 8, tmp_path / "leccr-text-rate")
    model, _ = load_retriever(tmp_path / "leccr-text-rate")
    assert model.config.text_config.num_hidden_layers == 6 and model.image.tower is None
    texts = ["en a 0", "de a 1 de a 1", "a"]
    found = compare(str(tmp_path / "leccr-text-rate"), texts, batch_size=2, turns=3)
    low, high = found["ratio_range"]
    assert 0 < low <= found["ratio_median"] <= high
    assert found["ours_texts_per_second"] > 0 and found["theirs_texts_per_second"] > 0
    monkeypatch.setattr(ModelEncoder, "texts", lambda *_, **__: np.zeros((3, 8), np.float32))
    with pytest.raises(ValueError, match="The two give embeddings that differ by 0"):
        compare(str(tmp_path / "leccr-text-rate"), texts, batch_size=2, turns=1)
