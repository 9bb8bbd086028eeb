"""Batches encoded in chunks: gradients of the plain way, in the memory of one chunk."""

import copy
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import BertConfig, CLIPVisionConfig

from modeling_leccr import LeccrConfig, LeccrModel, chunks_leccr
from modeling_leccr.inputs_leccr import InputError

from .tiny import (
    FORMS,
    assert_equal,
    batch,
    form,
    gradients,
    padded_left,
    random,
    sentence_pairs,
    step,
    text_config,
    texts,
    tiny_cross_lingual,
    tiny_model,
    visual_inputs,
)

ROWS, CHUNK = 7, 3
DROPOUT = {"dropout": 0.2, "token_dropout": 0.2, "visual_dropout": 0.2, "description_dropout": 0.3}
NETWORKS: dict[str, Callable[[], Any]] = {
    **{name: lambda name=name: form(name, description_gradient=True) for name in FORMS},
    "features": lambda: form("anchored", None, image_only_weight=0.5, learn_alpha=True, fused_weight=0.4),
    "frozen picture tower": lambda: form("anchored", freeze_vision=True),
    "frozen text tower": lambda: form("anchored", freeze_text=True, description_gradient=True),
    "second encoder": lambda: form("anchored", description_config=text_config("distilbert")),
    "cross-lingual": lambda: tiny_cross_lingual(word_weight=0.5),
    "frozen cross-lingual": lambda: tiny_cross_lingual(freeze_text=True, word_weight=0.0),
}


def rows_for(model: Any) -> dict[str, Tensor]:
    if not isinstance(model, LeccrModel):
        return sentence_pairs(ROWS)
    rows = batch("clip" if model.image.tower is not None else None, ROWS)
    rows["description_attention_mask"][4] = 0
    return rows


def without_dropout(model: Any) -> Any:
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(getattr(module, "dropout", None), float):
            module.dropout = 0.0
    for name in ("attention_probs_dropout_prob", "hidden_dropout_prob"):
        setattr(model.config.text_config, name, 0.0)
    return model


def trained(model: Any, rows: dict[str, Tensor], size: int | None) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the loss and all gradients of a step, from the same random numbers each time."""
    model = copy.deepcopy(model).double()
    model.config.encode_chunk_size = size
    torch.manual_seed(0)
    loss = step(model, rows)
    return loss.detach(), gradients(model)


def assert_same(
    actual: tuple[Tensor, dict[str, Tensor]], expected: tuple[Tensor, dict[str, Tensor]], tolerance: float = 1e-6
) -> None:
    torch.testing.assert_close(actual[0], expected[0], rtol=1e-6, atol=tolerance)
    assert actual[1].keys() == expected[1].keys() and expected[1]
    for name, gradient in expected[1].items():
        torch.testing.assert_close(actual[1][name], gradient, rtol=tolerance, atol=tolerance, msg=name)


def keep_activations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks_leccr, "checkpoint", lambda encode, *rows, **_: encode(*rows))


class TestGradients:
    @pytest.mark.parametrize("name", NETWORKS)
    def test_those_of_the_whole_batch(self, name: str) -> None:
        model = without_dropout(NETWORKS[name]())
        rows = rows_for(model)
        assert_same(trained(model, rows, CHUNK), trained(model, rows, None))

    @pytest.mark.parametrize("vision", ["clip", None])
    def test_dropout_draws_the_same_again(self, vision: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
        model = tiny_model(vision, slot_anchor="text", description_gradient=True, **DROPOUT)
        rows = batch(vision, ROWS)
        dropped, other = trained(model, rows, CHUNK), trained(without_dropout(copy.deepcopy(model)), rows, CHUNK)
        keep_activations(monkeypatch)
        assert_same(dropped, trained(model, rows, CHUNK))
        assert abs(dropped[0] - other[0]) > 1e-3, "there is dropout"

    def test_dropout_goes_on_drawing_where_the_forward_pass_ended(self) -> None:
        model = tiny_model(slot_anchor="text", encode_chunk_size=CHUNK, **DROPOUT).train()
        loss = model(**batch(rows=ROWS)).loss
        state = torch.get_rng_state()
        loss.backward()
        assert torch.equal(torch.get_rng_state(), state)

    @pytest.mark.parametrize("vision", ["resnet", "mobilenet_v2"])
    def test_batch_norm_counts_each_chunk_once(self, vision: str, monkeypatch: pytest.MonkeyPatch) -> None:
        model, rows = without_dropout(tiny_model(vision, encode_chunk_size=CHUNK)).double(), batch(vision, ROWS)
        kept = copy.deepcopy(model)
        step(model, rows)
        keep_activations(monkeypatch)
        step(kept, rows)
        assert_same((torch.zeros(()), gradients(model)), (torch.zeros(()), gradients(kept)))
        statistics = dict(kept.named_buffers())
        assert any("running_mean" in name for name in statistics)
        for name, buffer in model.named_buffers():
            torch.testing.assert_close(buffer, statistics[name], msg=name)
        assert all(module.momentum for module in model.modules() if hasattr(module, "running_mean"))

    def test_autocast(self) -> None:
        model, results = without_dropout(form("anchored", description_gradient=True)), []
        for size in (CHUNK, None):
            copied = copy.deepcopy(model)
            copied.config.encode_chunk_size = size
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = copied.train()(**batch(rows=ROWS)).loss
            loss.backward()
            results.append((loss.detach(), gradients(copied)))
        assert_same(*results, tolerance=0.05)

    def test_accumulated_over_batches(self) -> None:
        model = without_dropout(form("published"))
        sums = []
        for size in (CHUNK, None):
            copied = copy.deepcopy(model).double()
            copied.config.encode_chunk_size = size
            for seed in (0, 1):
                step(copied, batch(rows=ROWS, seed=seed))
            sums.append((torch.zeros(()), gradients(copied)))
        assert_same(*sums)


class TestWhatIsComputed:
    @staticmethod
    def calls(module: nn.Module) -> list[int]:
        seen: list[int] = []
        module.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
        return seen

    def test_chunks_of_equal_length_twice(self) -> None:
        model = tiny_model(num_slots=0, encode_chunk_size=CHUNK)
        pictures, captions = self.calls(model.image.tower), self.calls(model.text.tower)
        step(model, batch(rows=ROWS))
        assert sorted(pictures) == [2, 2, 2, 2, 3, 3] and sorted(captions) == sorted(2 * pictures)

    def test_frozen_towers_once(self) -> None:
        model = tiny_model(num_slots=0, encode_chunk_size=CHUNK, freeze_vision=True, freeze_text=True)
        pictures, captions = self.calls(model.image.tower), self.calls(model.text.tower)
        step(model, batch(rows=ROWS))
        assert pictures == [3, 2, 2] and captions == 2 * pictures

    @pytest.mark.parametrize("rows, gradient", [(CHUNK, True), (ROWS, False)])
    def test_small_batches_and_those_without_gradient_in_one_piece(self, rows: int, gradient: bool) -> None:
        model = tiny_model(encode_chunk_size=CHUNK).train()
        pictures = self.calls(model.image.tower)
        with torch.set_grad_enabled(gradient):
            output = model(**batch(rows=rows))
        assert pictures == [rows] and output.loss.isfinite()


class TestCaptionsTogether:
    @staticmethod
    def pair(lengths: list[int], others: list[int], left: bool = False) -> dict[str, Tensor]:
        both = texts(lengths, 1, "source_"), texts(others, 2, "target_")
        source, target = (padded_left(captions) if left else captions for captions in both)
        return visual_inputs(rows=len(lengths)) | source | target

    @pytest.mark.parametrize(
        ("lengths", "others", "left", "count"),
        [
            ([20, 3, 7], [9, 20, 2], False, 1),
            ([20, 3, 7], [9, 19, 2], False, 1),
            ([20, 3, 7], [9, 12, 2], False, 2),
            ([20, 3, 7], [9, 20, 2], True, 1),
            # Padding behind them would move texts that have theirs in front.
            ([20, 3, 7], [9, 19, 2], True, 2),
        ],
    )
    def test_where_that_adds_hardly_any_padding(
        self, lengths: list[int], others: list[int], left: bool, count: int
    ) -> None:
        model, rows = tiny_model(text_pooling="mean"), self.pair(lengths, others, left)
        expected = [
            model.get_text_features(rows[f"{name}_input_ids"], rows[f"{name}_attention_mask"])
            for name in ("source", "target")
        ]
        seen = TestWhatIsComputed.calls(model.text.tower)
        output = model(**rows)
        assert seen == [6] if count == 1 else seen == [3, 3]
        assert_equal(output.source_embeds, expected[0])
        assert_equal(output.target_embeds, expected[1])

    def test_not_without_masks_or_one_of_them(self) -> None:
        model, rows = tiny_model(), self.pair([5, 5], [5, 5])
        seen = TestWhatIsComputed.calls(model.text.tower)
        model(**{name: value for name, value in rows.items() if not name.endswith("_mask")})
        model(**{name: value for name, value in rows.items() if not name.startswith("target")})
        assert seen == [2, 2, 2]

    def test_an_empty_text_is_named_by_its_own_row(self) -> None:
        rows = self.pair([5, 5], [5, 5])
        rows["target_attention_mask"][1] = 0
        with pytest.raises(InputError, match="Row 1 of"):
            tiny_model()(**rows)


class LargestMemory(TorchDispatchMode):
    """Counts the bytes of all tensors that are made under it and still exist."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self.known: set[int] = set()

    def _forget(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.now -= size

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {id(tensor.untyped_storage()) for tensor in tree_leaves((args, kwargs)) if isinstance(tensor, Tensor)}
        results = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(results):
            storage = tensor.untyped_storage() if isinstance(tensor, Tensor) else None
            if storage is None or id(storage) in self.known or id(storage) in given:
                continue
            self.known.add(id(storage))
            self.now += storage.nbytes()
            weakref.finalize(storage, self._forget, id(storage), storage.nbytes())
        self.most = max(self.most, self.now)
        return results


def test_a_batch_eight_times_as_large_in_the_memory_of_one_chunk() -> None:
    sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 128}
    vision = CLIPVisionConfig(**sizes, image_size=32, patch_size=4, projection_dim=16)
    text = BertConfig(**sizes, vocab_size=60)
    config = LeccrConfig(vision_config=vision, text_config=text, projection_dim=16, num_slots=2, interaction_heads=2)
    model, most = LeccrModel(config).train(), {}
    for rows, size in ((8, None), (64, 8)):
        config.encode_chunk_size = size
        model.zero_grad()
        with LargestMemory() as memory:
            model(**batch(rows=rows)).loss.backward()
        most[rows] = memory.most
    assert most[64] < 1.2 * most[8]


class TestBadInputs:
    def test_rows_are_counted_from_the_start_of_the_batch(self) -> None:
        model = tiny_model(None, encode_chunk_size=CHUNK).train()
        for name in ("visual_attention_mask", "source_attention_mask"):
            rows = batch(None, ROWS)
            rows[name][5] = 0
            with pytest.raises(InputError, match="Row 5 of"):
                model(**rows)

    def test_numbers_of_rows_that_differ(self) -> None:
        model = tiny_model(encode_chunk_size=CHUNK).train()
        for name, message in (("description", "descriptions for 7 images"), ("source", "source_input_ids have 5 rows")):
            rows = batch(rows=ROWS)
            rows |= {key: value[:5] for key, value in rows.items() if key.startswith(name)}
            with pytest.raises(InputError, match=message):
                model(**rows)

    def test_no_image(self) -> None:
        model = tiny_model(encode_chunk_size=CHUNK).train()
        rows = {name: value for name, value in batch(rows=ROWS).items() if name not in visual_inputs()}
        with pytest.raises(InputError, match="neither was given"):
            model(**rows)

    def test_no_chunk_at_all(self) -> None:
        for make in (tiny_model, tiny_cross_lingual):
            with pytest.raises(ValueError, match="encode_chunk_size is 0, but has to be above 0"):
                make(encode_chunk_size=0)


def test_videos() -> None:
    rows = batch(None, ROWS) | {"pixel_values": random(ROWS, 2, 3, 32, 32)}
    del rows["visual_features"], rows["visual_attention_mask"]
    model = without_dropout(tiny_model(vision_summary="mean", freeze_vision=True))
    assert_same(trained(model, rows, CHUNK), trained(model, rows, None))
