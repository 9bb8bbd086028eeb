"""The whole models in two processes with half a batch each: losses and gradients of one process with all of it."""

import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from tests.crashes import START

from .tiny import batch, random, tiny_cross_lingual, tiny_model

WORLD_SIZE, BATCH_SIZE = 2, 6
Result = dict[str, Tensor]

CASES: dict[str, dict[str, Any]] = {
    "published": {"description_gradient": True},
    "anchored": {"slot_anchor": "text", "description_gradient": True, "fused_weight": 0.3},
    "dual-encoder": {"num_slots": 0},
    "transfer": {"num_slots": 0, "transfer_weight": 0.6},
    "every row another image": {"description_gradient": True},
    "anchored in the image": {"slot_anchor": "image"},
    "in chunks": {"slot_anchor": "text", "description_gradient": True, "encode_chunk_size": 2},
    "descriptions in one process only": {"slot_anchor": "text", "description_gradient": True},
    "late fusion in one process only": {"num_slots": 0, "description_fusion": True},
    "sentences": {"word_weight": 0.0},
    "words": {"sentence_weight": 0.3, "word_weight": 1.0},
    "words only": {"sentence_weight": 0.0, "word_weight": 1.0},
}
CROSS_LINGUAL = ("sentences", "words", "words only")


def make_model(case: str) -> nn.Module:
    model = (tiny_cross_lingual if case in CROSS_LINGUAL else partial(tiny_model, None))(**CASES[case]).double()
    if case == "anchored in the image":
        # Closed, it makes all slots of a picture equal, and chance decides which one is the best.
        model.image.anchor.slot_gate.weight.data.fill_(0.6)
    if not case.endswith("in one process only"):
        # In eval mode, as dropout would draw other numbers in each process.
        return model
    if case.startswith("descriptions"):
        # Closed, it makes all slots of a picture without description equal, and chance decides which one is the best.
        model.image.anchor.slot_gate.weight.data.fill_(0.6)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    for layer in (module for module in model.modules() if isinstance(getattr(module, "dropout", None), float)):
        layer.dropout = 0.0
    return model.train()


def make_batch(case: str) -> dict[str, Tensor]:
    rows = batch(None, BATCH_SIZE) | {"target_weights": torch.tensor([1.0, 0.5, 0.0, 0.25, 1.0, 2.0])}
    # Rows 1 and 2 are one image within a process; rows 0 and 4 are one image across the two.
    rows["image_ids"] = torch.tensor([0, 1, 1, 3, 0, 5])
    rows["source_teacher_embeds"] = random(BATCH_SIZE, 9, seed=7)
    rows["target_teacher_embeds"] = random(BATCH_SIZE, 9, seed=8)
    rows["description_attention_mask"][3] = 0
    if case.endswith("in one process only"):
        rows["description_attention_mask"][BATCH_SIZE // 2 :] = 0
    if case == "every row another image":
        del rows["image_ids"]
    return rows


def part_of(rows: dict[str, Tensor], rank: int) -> dict[str, Tensor]:
    own = slice(rank * BATCH_SIZE // WORLD_SIZE, (rank + 1) * BATCH_SIZE // WORLD_SIZE)
    rows = {name: value[own] for name, value in rows.items()}
    if not rows["description_attention_mask"].any():
        # As the collator does.
        rows = {name: value for name, value in rows.items() if not name.startswith("description")}
    return rows


def loss_and_gradients(model: nn.Module, rows: dict[str, Tensor]) -> Result:
    # Twice: in the second pass the wrapper complains of weights that took no part in the first.
    for _ in range(2):
        model.zero_grad()
        loss = model(**rows).loss
        loss.backward()
    gradients = {
        name.removeprefix("module."): weight.grad for name, weight in model.named_parameters() if weight.requires_grad
    }
    return {"loss": loss.detach(), **gradients}


def run_process(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=WORLD_SIZE)
    results = {}
    for case in CASES:
        wrapped = DistributedDataParallel(make_model(case))
        results[case] = loss_and_gradients(wrapped, part_of(make_batch(case), rank))
    torch.save(results, Path(folder) / f"{rank}.pt")
    dist.barrier()
    # Taking gloo's threads down can hang for good on a busy machine, and there is nothing left to save.
    os._exit(0)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Result]]:
    folder = tmp_path_factory.mktemp("processes")
    multiprocessing.start_processes(run_process, (str(folder),), WORLD_SIZE, start_method=START)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(WORLD_SIZE)]


@pytest.mark.parametrize("case", [case for case in CASES if not case.startswith("words")])
def test_two_processes_equal_one(results: list[dict[str, Result]], case: str) -> None:
    expected = loss_and_gradients(make_model(case), make_batch(case))
    for result in results:
        assert result[case].keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(result[case][name], value, rtol=1e-6, atol=1e-9, msg=name)


@pytest.mark.parametrize("case", ["words", "words only"])
def test_words_are_aligned_in_each_process_and_sentences_in_all(results: list[dict[str, Result]], case: str) -> None:
    model, rows = make_model(case), make_batch(case)
    sentences = model(**rows).loss_sentence
    words = [model(**part_of(rows, rank)).loss_word for rank in range(WORLD_SIZE)]
    (CASES[case]["sentence_weight"] * sentences + sum(words) / WORLD_SIZE).backward()
    for rank, result in enumerate(results):
        own = CASES[case]["sentence_weight"] * sentences + words[rank]
        torch.testing.assert_close(result[case]["loss"], own.detach())
        for name, weight in model.named_parameters():
            torch.testing.assert_close(result[case][name], weight.grad, rtol=1e-6, atol=1e-9, msg=name)
