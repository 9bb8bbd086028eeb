from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from leccr.errors import UserError
from leccr.models.encoder import Encoder
from leccr.models.encoding import encode_images
from tests.leccr.gallery.tiny_gallery import NAMES, description, encoder, save_model
from tests.tiny_data import dataset, row


def test_views_are_those_of_the_evaluation() -> None:
    model = encoder()
    rows = dataset(
        [
            row(
                name, description=description(name) if place % 3 else None, image=PillowImage.new("RGB", (32, 32), name)
            )
            for place, name in enumerate(NAMES)
        ]
    )
    prepared = [model.prepare(each) for each in rows]
    expected = encode_images(model.model, model.processor, rows).numpy()
    np.testing.assert_allclose(model.views(prepared, rows["description"]), expected, atol=1e-6)
    assert model.views(prepared, rows["description"]).shape == (12, model.view_count, model.width)


def test_pictures_of_several_sizes_are_encoded_apart() -> None:
    model = encoder()
    sizes = [(32, 32), (64, 32), (32, 32), (32, 64)]
    rows = [row(f"{place}", image=PillowImage.effect_noise(size, 80)) for place, size in enumerate(sizes)]
    prepared = [model.prepare(each) for each in rows]
    together = model.views(prepared, [None] * 4, batch_size=2)
    for place, inputs in enumerate(prepared):
        np.testing.assert_allclose(model.views([inputs], [None])[0], together[place], atol=1e-6)


def test_videos_are_encoded_a_few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = encoder(num_frames=4)
    frames = [[PillowImage.effect_noise((32, 32), 80) for _ in range(count)] for count in (4, 4, 4, 2)]
    prepared = [dict(model.processor(videos=[video])) for video in frames]
    sizes = []
    real = model.model.get_image_views

    def views(**inputs: torch.Tensor) -> torch.Tensor:
        sizes.append(tuple(inputs["pixel_values"].shape[:2]))
        return real(**inputs)

    monkeypatch.setattr(model.model, "get_image_views", views)
    model.views(prepared, [None] * 4, batch_size=8)
    assert sizes == [(2, 4), (1, 4), (1, 2)]


def test_a_checkpoint_is_loaded_without_a_word(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    save_model(tmp_path / "model")
    capfd.readouterr()
    loaded = Encoder.load(str(tmp_path / "model"))
    assert capfd.readouterr() == ("", "")
    assert (loaded.name, loaded.view_count, loaded.width, loaded.slots) == (str(tmp_path / "model"), 2, 8, True)
    with pytest.raises(UserError, match="is no model"):
        Encoder.load(str(tmp_path / "none"))


def test_texts_do_not_depend_on_their_company() -> None:
    model = encoder()
    texts = [f"de {name} 1" for name in NAMES]
    together = model.texts(texts)
    assert together.shape == (12, 8)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(np.concatenate([model.texts([text]) for text in texts]), together, atol=1e-6)


def test_a_model_without_slots_has_one_view() -> None:
    model = encoder(num_slots=0, softened_weight=0.0)
    assert (model.view_count, model.slots, model.takes_videos) == (1, False, False)
