"""Two processes with half a batch each get the losses and gradients of one process with the whole batch."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from modeling_leccr.objectives_leccr import (
    all_gather_with_gradient,
    best_slot_scores,
    contrastive_loss,
    gather_slots,
    same_image_labels,
    slot_diversity_loss,
    slot_vision_vectors,
    softened_matching_loss,
    teacher_scores,
)
from tests.crashes import START

WORLD_SIZE, BATCH_SIZE = 2, 6
Batch = dict[str, Tensor]
Result = dict[str, Tensor]
Results = dict[str, Result]

gather = all_gather_with_gradient


class TinyRetriever(nn.Module):
    """Linear towers; `forward` returns one term of the objective on the joined batch."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.vision, self.text = nn.Linear(5, 4), nn.Linear(6, 4)
        self.queries = nn.Parameter(torch.empty(3, 4))
        self.log_scale = nn.Parameter(torch.empty(()))
        self.double()
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.normal_(generator=generator)

    def embeds(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Image, source and target embeds (B, 4) and slots (B, 3, 4)."""
        images = F.normalize(self.vision(batch["visual_features"]).mean(dim=1), dim=-1)
        source, target = (F.normalize(self.text(batch[name]), dim=-1) for name in ("source", "target"))
        slots = self.text(batch["description"])[:, None] * self.queries
        return images, source, target, slots

    def forward(self, batch: Batch, term: str) -> Tensor:
        return TERMS[term](self, batch)


def contrastive(model: TinyRetriever, batch: Batch) -> Tensor:
    images, source, target, _ = model.embeds(batch)
    images, source, target = gather(images), gather(source), gather(target)
    labels, scale = same_image_labels(gather(batch["image_ids"])), model.log_scale.exp()
    weights = gather(batch["target_weights"])
    from_source = contrastive_loss(source @ images.T * scale, labels)
    from_target = contrastive_loss(target @ images.T * scale, labels, weights)
    return from_source + from_target + contrastive_loss(target @ source.T * scale, labels, weights)


def slot_contrastive(model: TinyRetriever, batch: Batch) -> Tensor:
    _, source, _, slots = model.embeds(batch)
    scores = best_slot_scores(gather(source), gather(slots))
    return contrastive_loss(scores * model.log_scale.exp(), same_image_labels(gather(batch["image_ids"])))


def different_numbers_of_slots(model: TinyRetriever, batch: Batch) -> Tensor:
    """The second process has slots that repeat the first one."""
    _, source, _, slots = model.embeds(batch)
    if dist.is_initialized() and dist.get_rank() == 1:
        slots = torch.cat([slots, slots[:, :1], slots[:, :1]], dim=1)
    return contrastive_loss(best_slot_scores(gather(source), gather_slots(slots)) * model.log_scale.exp())


def joined_diversity(model: TinyRetriever, batch: Batch) -> Tensor:
    return slot_diversity_loss(gather(model.embeds(batch)[-1]))


def local_diversity(model: TinyRetriever, batch: Batch) -> Tensor:
    return slot_diversity_loss(model.embeds(batch)[-1])


def slot_vision(model: TinyRetriever, batch: Batch) -> Tensor:
    slots, tokens = model.embeds(batch)[-1], model.vision(batch["visual_features"])
    slot_vectors, vision_vectors = slot_vision_vectors(slots, tokens, batch["visual_attention_mask"])
    return contrastive_loss(gather(slot_vectors) @ gather(vision_vectors).T * model.log_scale.exp())


def softened(model: TinyRetriever, batch: Batch) -> Tensor:
    images, source, target, slots = (gather(embeds) for embeds in model.embeds(batch))
    teacher = teacher_scores(source @ images.T, best_slot_scores(source, slots))
    student = target @ images.T * model.log_scale.exp()
    return softened_matching_loss(student, teacher / 0.1, gather(batch["target_weights"]))


def together(model: TinyRetriever, batch: Batch) -> Tensor:
    return contrastive(model, batch) + sum(
        weight * term(model, batch)
        for weight, term in enumerate((slot_contrastive, local_diversity, slot_vision, softened), start=1)
    )


TERMS: dict[str, Callable[[TinyRetriever, Batch], Tensor]] = {
    "contrastive": contrastive,
    "slot contrastive": slot_contrastive,
    "different numbers of slots": different_numbers_of_slots,
    "joined diversity": joined_diversity,
    "local diversity": local_diversity,
    "slot vision": slot_vision,
    "softened": softened,
    "together": together,
}
PER_PROCESS_VALUE = ("local diversity", "together")


def make_batch() -> Batch:
    generator = torch.Generator().manual_seed(5)
    shapes = {"visual_features": (3, 5), "source": (6,), "target": (6,), "description": (6,)}
    batch = {
        name: torch.randn(BATCH_SIZE, *shape, generator=generator, dtype=torch.float64)
        for name, shape in shapes.items()
    }
    mask = [[1, 1, 1], [1, 0, 0], [1, 1, 0], [1, 1, 1], [1, 1, 0], [1, 0, 0]]
    batch["visual_attention_mask"] = torch.tensor(mask).bool()
    # Rows 1 and 2 are one image within a process; rows 0 and 4 are one image across the two.
    batch["image_ids"] = torch.tensor([0, 1, 1, 3, 0, 5])
    batch["target_weights"] = torch.tensor([1.0, 0.5, 0.0, 0.25, 1.0, 2.0], dtype=torch.float64)
    return batch


def loss_and_gradients(model: nn.Module, batch: Batch, term: str) -> Result:
    model.zero_grad()
    loss = model(batch, term)
    loss.backward()
    gradients = {
        name.removeprefix("module."): torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.clone()
        for name, parameter in model.named_parameters()
    }
    return {"loss": loss.detach(), **gradients}


def average_over_processes(result: Result) -> Result:
    for value in result.values():
        dist.all_reduce(value)
    return {name: value / WORLD_SIZE for name, value in result.items()}


def run_process(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=WORLD_SIZE)
    rows = slice(rank * BATCH_SIZE // WORLD_SIZE, (rank + 1) * BATCH_SIZE // WORLD_SIZE)
    batch = {name: value[rows] for name, value in make_batch().items()}
    results: Results = {"joined": {name: gather(value) for name, value in batch.items()}}
    results["joined"]["slices"] = gather(batch["visual_features"].transpose(1, 2))
    for term in TERMS:
        local = loss_and_gradients(TinyRetriever(), batch, term)
        results[f"own {term}"] = {"loss": local["loss"].clone()}
        results[term] = average_over_processes(local)
    wrapped = DistributedDataParallel(TinyRetriever())
    results["wrapped"] = loss_and_gradients(wrapped, batch, "together")
    torch.save(results, Path(folder) / f"{rank}.pt")
    dist.barrier()
    # Taking gloo's threads down can hang for good on a busy machine, and there is nothing left to save.
    os._exit(0)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[Results]:
    folder = tmp_path_factory.mktemp("processes")
    multiprocessing.start_processes(run_process, (str(folder),), WORLD_SIZE, start_method=START)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(WORLD_SIZE)]


def assert_same(actual: Result, expected: Result) -> None:
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(actual[name], value, rtol=0, atol=1e-6, msg=f"{name}: {actual[name]} != {value}")


def test_every_type_is_joined_in_rank_order(results: list[Results]) -> None:
    batch = make_batch()
    for result in results:
        assert all(torch.equal(result["joined"][name], value) for name, value in batch.items())
        assert torch.equal(result["joined"]["slices"], batch["visual_features"].transpose(1, 2))


@pytest.mark.parametrize("term", TERMS)
def test_two_processes_equal_one(results: list[Results], term: str) -> None:
    expected = loss_and_gradients(TinyRetriever(), make_batch(), term)
    assert max(gradient.abs().max() for name, gradient in expected.items() if name != "loss") > 1e-2
    for result in results:
        assert_same(result[term], expected)
        if term not in PER_PROCESS_VALUE:
            torch.testing.assert_close(result[f"own {term}"]["loss"], expected["loss"], rtol=0, atol=1e-6)


def test_data_parallel_wrapper_equals_one_process(results: list[Results]) -> None:
    expected = loss_and_gradients(TinyRetriever(), make_batch(), "together")
    for result in results:
        # The wrapper averages gradients, not the loss, part of which is each process's own.
        assert_same(result["wrapped"] | {"loss": expected["loss"]}, expected)
