"""What several processes of one run have to agree on, and what each has for itself."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from transformers import TrainerCallback, TrainingArguments, set_seed

from modeling_leccr.objectives_leccr import all_gather_with_gradient

from ..errors import UserError


class JoinedBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation over the batches of all processes; PyTorch's own `SyncBatchNorm` does not run on CPUs."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise maps (B, C, H, W) by the statistics of the joined batch, and by the stored ones in evaluation."""
        tracked = self.num_batches_tracked
        if not self.training or self.running_mean is None or self.running_var is None or tracked is None:
            return super().forward(input)
        values = input.float()
        count = values.new_full((1,), values.numel() / values.shape[1])
        own = torch.cat([values.mean((0, 2, 3)), values.var((0, 2, 3), correction=0), count])
        means, variances, counts = all_gather_with_gradient(own[None]).split([self.num_features] * 2 + [1], dim=1)
        total = counts.sum()
        mean = (counts * means).sum(0) / total
        variance = (counts * (variances + (means - mean).square())).sum(0) / total
        with torch.no_grad():
            tracked.add_(1)
            share = 1 / float(tracked) if self.momentum is None else self.momentum
            self.running_mean.lerp_(mean, share)
            self.running_var.lerp_(variance * total / (total - 1).clamp(min=1), share)
        scale = (variance + self.eps).rsqrt() * (1.0 if self.weight is None else self.weight)
        shift = -mean * scale + (0.0 if self.bias is None else self.bias)
        return (values * scale[:, None, None] + shift[:, None, None]).to(input.dtype)


def join_batch_norms(model: nn.Module) -> None:
    """Let the batch norms of a model see the batches of all processes, so that their number changes nothing."""
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            # In place, so that weights, their names and what optimizers hold of them stay.
            module.__class__ = JoinedBatchNorm2d


class OwnRandomNumbers(TrainerCallback):
    """Gives each process random numbers of its own: the same dropout and captions in all would vary a batch less."""

    def on_train_begin(self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any) -> None:
        """Seed by the run's seed and the process; a resumed run has its numbers from the checkpoint afterwards."""
        if args.process_index:
            set_seed(args.seed + args.process_index)


def check_processes(arguments: TrainingArguments) -> None:
    """Check that all processes get batches of one size, which the losses need, as they are of the joined batch.

    Raises:
        UserError: If a setting lets the last batches differ, so that processes would wait for each other for ever.
    """
    if arguments.world_size > 1 and not arguments.accelerator_config.even_batches:
        raise UserError(
            "accelerator_config has even_batches: false, but several processes need batches of one size; leave it out."
        )


def check_agreement(found: Mapping[str, Any]) -> None:
    """Check that all processes found the same, as they would wait for each other for ever otherwise.

    Args:
        found: By what it is called in the message, such as the checkpoint to resume from.

    Raises:
        UserError: If they did not, for example because they run on machines that do not share a disk.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return
    everywhere: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(everywhere, dict(found))
    for name in found:
        values = [other[name] for other in everywhere]
        for number, value in enumerate(values):
            if value != values[0]:
                raise UserError(
                    f"The processes of this run do not find the same {name}: process 0 has {values[0]}, process "
                    f"{number} has {value}; give all of them the same data, and a folder that they share."
                )


def rows_per_step(arguments: TrainingArguments) -> int:
    """Return the rows that all processes together learn from before the weights change."""
    return int(arguments.train_batch_size * arguments.world_size * arguments.gradient_accumulation_steps)


def lanes(arguments: TrainingArguments) -> int:
    """Return the number of processes and workers that read rows side by side."""
    return int(arguments.world_size * max(1, arguments.dataloader_num_workers))


def layout(arguments: TrainingArguments, streaming: bool) -> dict[str, int]:
    """Return what has to stay as it was when a run is resumed, as its order of the rows depends on it, by its name."""
    found = {"rows per step of all processes": rows_per_step(arguments)}
    return {**found, "processes and workers that read": lanes(arguments)} if streaming else found
