"""The settings of a run: checked before anything is built, and completed where one follows from another."""

import dataclasses
import math
import os
import shutil
from collections.abc import Mapping
from multiprocessing import get_all_start_methods
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments
from transformers.integrations import is_tensorboard_available

from processing.device import choose_device
from processing.notes import note

from ..errors import UserError, settings_of_the_user
from ..recipes import Recipe

DEFAULTS: dict[str, Any] = {
    "remove_unused_columns": False,
    "report_to": "none",
    "dataloader_pin_memory": torch.cuda.is_available(),
    "eval_strategy": "epoch",
    "save_strategy": "epoch",
    "save_total_limit": 1,
    "load_best_model_at_end": True,
    "metric_for_best_model": "sum_of_hit_rates",
    "greater_is_better": True,
    "label_names": ["caption_languages"],
    "logging_steps": 20,
}
"""Settings of every run; a recipe or the command line can replace them."""

LARGEST_SEED = 2**32 - 1
_AT_LEAST_ONE = (
    "per_device_train_batch_size",
    "per_device_eval_batch_size",
    "gradient_accumulation_steps",
    "eval_accumulation_steps",
    "eval_steps",
    "save_steps",
    "logging_steps",
    "save_total_limit",
    "dataloader_prefetch_factor",
    "torch_empty_cache_steps",
    "ddp_bucket_cap_mb",
    "ddp_timeout",
)
_NOT_NEGATIVE = (
    "learning_rate",
    "weight_decay",
    "warmup_steps",
    "max_grad_norm",
    "label_smoothing_factor",
    "dataloader_num_workers",
    "eval_delay",
    "adam_epsilon",
    "neftune_noise_alpha",
    "data_seed",
)
_AT_MOST = {
    "per_device_train_batch_size": 65536,
    "per_device_eval_batch_size": 65536,
    "num_train_epochs": 1_000_000,
    "dataloader_num_workers": 1024,
    "dataloader_prefetch_factor": 1024,
    "learning_rate": 1000,
    "label_smoothing_factor": 1,
    "adam_epsilon": 1,
    "data_seed": LARGEST_SEED,
}
_MOST = 10**9
SHARED_MEMORY = 2**30
_SHARES = ("adam_beta1", "adam_beta2")


def training_arguments(recipe: Recipe, output: str, opens_pictures: bool = False) -> TrainingArguments:
    """Return the settings of a recipe's run as Trainer takes them.

    Args:
        recipe: Its `training` says what differs from `DEFAULTS`, and from what this machine can do.
        output: Folder for checkpoints.
        opens_pictures: Whether making batches is enough work for processes of its own.

    Raises:
        UserError: If a setting makes no sense, such as no epochs or a batch of none, or this machine lacks what it
            needs.
    """
    check_settings(recipe)
    settings = aligned(recipe.training)
    if recipe.streaming:
        settings = {**settings, **_streaming(settings)}
    if choose_device("auto").type == "cpu":
        # Trainer refuses --bf16 on a CPU that it was not told to use.
        settings = {**settings, "use_cpu": True}
    if settings.get("use_cpu") and settings.get("fp16"):
        raise UserError("--fp16 needs a GPU; on a CPU, use --bf16, or leave it out.")
    settings = {**DEFAULTS, **defaults_of_the_machine(settings, opens_pictures), **settings}
    with settings_of_the_user("The settings of the training"):
        arguments = TrainingArguments(output_dir=output, seed=recipe.seed, **settings)
    if "tensorboard" in arguments.report_to and not is_tensorboard_available():
        raise UserError("--report_to tensorboard needs TensorBoard: pip install tensorboard.")
    return arguments


def defaults_of_the_machine(settings: Mapping[str, Any], opens_pictures: bool) -> dict[str, Any]:
    """Return what makes training faster on this machine: bf16, and processes that open pictures.

    Args:
        settings: Those of the recipe.
        opens_pictures: As for `training_arguments`.
    """
    device = torch.device("cpu") if settings.get("use_cpu") else choose_device("auto")
    return {
        "bf16": not settings.get("fp16") and computes_in_bf16(device),
        "dataloader_num_workers": worker_processes() if opens_pictures else 0,
    }


def computes_in_bf16(device: torch.device) -> bool:
    """Return whether a device multiplies bfloat16 numbers itself, not by way of float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    found = torch.cpu.get_capabilities() if device.type == "cpu" and hasattr(torch.cpu, "get_capabilities") else {}
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))


def worker_processes() -> int:
    """Return how many processes should make batches: a part of this process's cores, and none where there are two.

    Only where processes are forked, as elsewhere each would take seconds to start in every epoch, and with the memory
    that they hand batches over in, of which containers often have little.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    cores //= int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    shared = Path("/dev/shm")
    if cores <= 2 or get_all_start_methods()[0] != "fork" or not shared.exists():
        return 0
    return min(4, cores // 2) if shutil.disk_usage(shared).free >= SHARED_MEMORY else 0


def _streaming(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a run whose rows have an order of their own.

    Raises:
        UserError: If the run has an order or workers with which that cannot be.
    """
    if settings.get("train_sampling_strategy", "random") != "random":
        raise UserError("--train_sampling_strategy cannot be chosen with --streaming, which shuffles; leave it out.")
    if settings.get("dataloader_persistent_workers"):
        # They would never hear of the next epoch.
        raise UserError("--dataloader_persistent_workers does not go with --streaming; leave it out.")
    return {"train_sampling_strategy": "sequential"}


def check_settings(recipe: Recipe) -> None:
    """Check the numbers of a recipe's training.

    Raises:
        UserError: If one of them cannot be trained with; the message names it.
    """
    if not 0 <= recipe.seed <= LARGEST_SEED:
        raise UserError(f"The seed is {recipe.seed}, but has to be from 0 to {LARGEST_SEED}.")
    settings = recipe.training
    for name, value in settings.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if not math.isfinite(value):
            raise UserError(f"--{name} is {value}, which is no finite number.")
        if name in _AT_LEAST_ONE and not (value >= 1 or (name.endswith("_steps") and 0 < value < 1)):
            raise UserError(f"--{name} is {value}, but has to be at least 1.")
        if name in _NOT_NEGATIVE and value < 0:
            raise UserError(f"--{name} is {value}, but cannot be negative.")
        if value > _AT_MOST.get(name, _MOST):
            raise UserError(f"--{name} is {value}, but at most {_AT_MOST.get(name, _MOST)} is possible.")
        if name in _SHARES and not 0 <= value < 1:
            raise UserError(f"--{name} is {value}, but has to be at least 0 and less than 1.")
    rate = recipe.new_layers_learning_rate
    if rate is not None and not (math.isfinite(rate) and rate >= 0):
        raise UserError(f"--new_layers_learning_rate is {rate}, but has to be a number that is not negative.")
    steps, epochs = settings.get("max_steps", -1), settings.get("num_train_epochs", 3)
    if steps != -1 and steps < 1:
        raise UserError(f"--max_steps is {steps}, which trains nothing; give at least 1, or leave it out.")
    if steps == -1 and epochs <= 0:
        raise UserError(f"--num_train_epochs is {epochs}, which trains nothing; give a number above 0.")


def aligned(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings in which every saved checkpoint has been validated, as choosing the best one needs.

    What is added or changed is told. `--eval_steps 10` alone means to validate and save every 10 steps, and
    `--save_steps` likewise; of both, saving is rounded up to the next multiple of validating.
    """
    merged = {**DEFAULTS, **settings}
    added: dict[str, Any] = {}
    every = {name: settings.get(f"{name}_steps") for name in ("eval", "save")}
    for name, steps in every.items():
        if steps is not None and f"{name}_strategy" not in settings:
            added[f"{name}_strategy"] = "steps"
    merged |= added
    if not merged["load_best_model_at_end"]:
        return _told(settings, added)
    if merged["eval_strategy"] == "no":
        note("Note: without validation (--eval_strategy no) the last weights are kept, not the best ones.")
        return _told(settings, {**added, "load_best_model_at_end": False})
    strategies = {name: merged[f"{name}_strategy"] for name in ("eval", "save")}
    if strategies["save"] == "best":
        return _told(settings, added)
    if strategies["eval"] != strategies["save"]:
        by_steps = "eval" if strategies["eval"] == "steps" else "save"
        keeps_eval = strategies["save"] == "no" or ("eval_strategy" in settings and strategies["save"] != "steps")
        given = "eval" if keeps_eval else by_steps
        other = {"eval": "save", "save": "eval"}[given]
        added[f"{other}_strategy"] = strategies[given]
    strategy = {**merged, **added}["eval_strategy"]
    if strategy == "steps":
        evaluated, saved = every["eval"], every["save"]
        evaluated = evaluated or saved or merged["logging_steps"]
        saved = saved or evaluated
        # Shares of the run, below 1, are the same for both.
        saved = math.ceil(saved / evaluated) * evaluated if min(evaluated, saved) >= 1 else evaluated
        added |= {"eval_steps": evaluated, "save_steps": saved}
    return _told(settings, added)


def _told(settings: Mapping[str, Any], added: Mapping[str, Any]) -> dict[str, Any]:
    changes = {name: value for name, value in added.items() if {**DEFAULTS, **settings}.get(name) != value}
    if changes:
        fields = " ".join(f"--{name} {value}" for name, value in sorted(changes.items()))
        note(f"Note: the best checkpoint is among those that were validated, so this run has {fields}.")
    return {**settings, **added}


FREE_SETTINGS = frozenset(
    {
        "num_train_epochs",
        "max_steps",
        "use_cpu",
        "logging_steps",
        "logging_strategy",
        "logging_first_step",
        "report_to",
        "run_name",
        "disable_tqdm",
        "save_total_limit",
        "dataloader_num_workers",
        "dataloader_prefetch_factor",
        "dataloader_pin_memory",
        "per_device_eval_batch_size",
        "eval_accumulation_steps",
        "gradient_checkpointing",
        "torch_compile",
        "ddp_backend",
        "ddp_find_unused_parameters",
    }
)
"""Settings that a resumed run may have other values of: it may be longer, be watched otherwise, or run elsewhere."""


def without_computation(training: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that decide what a model becomes, without those that say how a run is watched or run."""
    return {name: value for name, value in training.items() if name not in FREE_SETTINGS}


def differences(saved: Recipe, asked: Recipe) -> list[str]:
    """Return in words in what a run differs from the one that is to be resumed."""
    found = []
    for field in dataclasses.fields(Recipe):
        if field.name in ("name", "description", "changes", "data"):
            continue
        before, now = getattr(saved, field.name), getattr(asked, field.name)
        if field.name == "training":
            before, now = without_computation(before), without_computation(now)
        if before == now:
            continue
        if isinstance(before, dict) and isinstance(now, dict):
            names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
            found += [f"{name} {_said(before.get(name))}, not {_said(now.get(name))}" for name in names]
        else:
            found.append(f"{field.name} {_said(before)}, not {_said(now)}")
    return found


def _said(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value)) or "none"
    return "none" if value is None else str(value)
