"""The whole model in two processes with half a batch each: losses and gradients of one process with all of it."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from modeling_leccr import LeccrModel

from .tiny import batch, tiny_model

WORLD_SIZE, BATCH_SIZE = 2, 6
Result = dict[str, Tensor]

CASES: dict[str, tuple[dict[str, Any], bool]] = {
    "published": ({"description_gradient": True}, True),
    "anchored": ({"slot_anchor": "text", "description_gradient": True, "fused_weight": 0.3}, True),
    "dual-encoder": ({"num_slots": 0}, True),
    "every row another image": ({"description_gradient": True}, False),
}


def make_model(case: str) -> LeccrModel:
    # In eval mode, as dropout would draw other numbers in each process.
    return tiny_model(None, **CASES[case][0]).double()


def make_batch(case: str) -> dict[str, Tensor]:
    rows = batch(None, BATCH_SIZE) | {"target_weights": torch.tensor([1.0, 0.5, 0.0, 0.25, 1.0, 2.0])}
    # Rows 1 and 2 are one image within a process; rows 0 and 4 are one image across the two.
    rows["image_ids"] = torch.tensor([0, 1, 1, 3, 0, 5])
    rows["description_attention_mask"][3] = 0
    if not CASES[case][1]:
        del rows["image_ids"]
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
    own = slice(rank * BATCH_SIZE // WORLD_SIZE, (rank + 1) * BATCH_SIZE // WORLD_SIZE)
    results = {}
    for case in CASES:
        rows = {name: value[own] for name, value in make_batch(case).items()}
        results[case] = loss_and_gradients(DistributedDataParallel(make_model(case)), rows)
    torch.save(results, Path(folder) / f"{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Result]]:
    folder = tmp_path_factory.mktemp("processes")
    multiprocessing.spawn(run_process, args=(str(folder),), nprocs=WORLD_SIZE)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(WORLD_SIZE)]


@pytest.mark.parametrize("case", CASES)
def test_two_processes_equal_one(results: list[dict[str, Result]], case: str) -> None:
    expected = loss_and_gradients(make_model(case), make_batch(case))
    for result in results:
        assert result[case].keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(result[case][name], value, rtol=1e-6, atol=1e-9, msg=name)
