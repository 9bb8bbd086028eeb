import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import TrainingArguments

from leccr.errors import UserError
from leccr.training import settings
from leccr.training.settings import aligned, differences, training_arguments
from processing import device
from tests.tiny_data import recipe


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_train_epochs": 0}, "--num_train_epochs is 0, which trains nothing; give a number above 0."),
        ({"num_train_epochs": -1.5}, "--num_train_epochs is -1.5, which trains nothing"),
        ({"max_steps": 0}, "--max_steps is 0, which trains nothing; give at least 1, or leave it out."),
        ({"max_steps": -2}, "--max_steps is -2, which trains nothing"),
        ({"per_device_train_batch_size": 0}, "--per_device_train_batch_size is 0, but has to be at least 1."),
        ({"per_device_eval_batch_size": -4}, "--per_device_eval_batch_size is -4, but has to be at least 1."),
        ({"gradient_accumulation_steps": 0}, "--gradient_accumulation_steps is 0, but has to be at least 1."),
        ({"eval_steps": 0}, "--eval_steps is 0, but has to be at least 1."),
        ({"save_steps": -10}, "--save_steps is -10, but has to be at least 1."),
        ({"learning_rate": float("nan")}, "--learning_rate is nan, which is no finite number."),
        ({"weight_decay": float("inf")}, "--weight_decay is inf, which is no finite number."),
        ({"learning_rate": -1e-4}, "--learning_rate is -0.0001, but cannot be negative."),
        ({"per_device_train_batch_size": 10**9}, "is 1000000000, but at most 65536 is possible."),
        ({"per_device_eval_batch_size": 65537}, "is 65537, but at most 65536 is possible."),
        ({"num_train_epochs": 10**12}, "is 1000000000000, but at most 1000000 is possible."),
        ({"adam_beta2": 1.0}, "--adam_beta2 is 1.0, but has to be at least 0 and less than 1."),
        ({"dataloader_num_workers": -1}, "--dataloader_num_workers is -1, but cannot be negative."),
        ({"lr_scheduler_type": "linaer"}, "linaer"),
        ({"eval_strategy": "never"}, "never is not a valid"),
        ({"fp16": True}, "--fp16 needs a GPU; on a CPU, use --bf16, or leave it out."),
        ({"bf16": True, "fp16": True}, "--fp16 needs a GPU"),
    ],
)
def test_what_cannot_be_trained_with_is_one_sentence(
    settings: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "is_available", lambda name: name == "cpu")
    with pytest.raises(UserError, match=re.escape(message)):
        training_arguments(recipe(training=settings), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


FIELDS = [
    field.name
    for field in dataclasses.fields(TrainingArguments)
    # The recipe has the seed, and whoever starts several processes tells each its rank.
    if field.init and re.search("int|float", str(field.type)) and field.name not in ("seed", "local_rank")
]


@pytest.mark.parametrize("name", FIELDS)
def test_every_number_has_bounds(name: str, tmp_path: Path) -> None:
    """Whatever transformers thinks of them: no traceback, and nothing that cannot be meant."""
    for value in (10**12, 10**30, float("nan"), float("inf"), -float("inf"), -0.5, -7):
        with pytest.raises(UserError, match=f"--{name} is .*"):
            training_arguments(recipe(training={name: value}), str(tmp_path))


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_no_library_takes(seed: int, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"The seed is {seed}, but has to be from 0 to 4294967295."):
        training_arguments(recipe(seed=seed), str(tmp_path))


@pytest.mark.parametrize("rate", [-1.0, float("nan")])
def test_a_rate_of_new_layers_that_is_no_rate(rate: float, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--new_layers_learning_rate is"):
        training_arguments(recipe(new_layers_learning_rate=rate), str(tmp_path))


@pytest.mark.parametrize("settings", [{"bf16": True}, {"eval_steps": 0.5}, {"warmup_steps": 0.1}, {"max_steps": 5}])
def test_what_can_be_trained_with_on_a_cpu(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "is_available", lambda name: name == "cpu")
    tiny = recipe(training=settings)
    # Trainer would have to be told, and what it is told is not part of the recipe.
    del tiny.training["use_cpu"]
    assert training_arguments(tiny, str(tmp_path)).use_cpu
    assert "use_cpu" not in tiny.training


class TestDefaultsOfTheMachine:
    @pytest.fixture
    def machine(self, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
        """Sets what this machine can do."""

        def set_up(able: bool = True, cores: int = 2, shared_memory: int = 2**33) -> None:
            monkeypatch.setattr(device, "is_available", lambda name: name == "cpu")
            monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx512_bf16": able, "amx_bf16": False})
            monkeypatch.setattr(settings.os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
            monkeypatch.setattr(settings.shutil, "disk_usage", lambda _: SimpleNamespace(free=shared_memory))
            monkeypatch.setattr(settings, "get_all_start_methods", lambda: ["fork", "spawn"])
            monkeypatch.setattr(settings.Path, "exists", lambda _: True)

        return set_up

    @pytest.mark.parametrize("able", [True, False])
    def test_bf16_where_the_processor_has_it(self, able: bool, machine: Callable[..., None]) -> None:
        machine(able)
        undecided = recipe()
        del undecided.training["bf16"]
        assert training_arguments(undecided, "out").bf16 is able

    @pytest.mark.parametrize("asked", [True, False])
    def test_what_is_asked_for_holds(self, asked: bool, machine: Callable[..., None]) -> None:
        machine(not asked, cores=8)
        arguments = training_arguments(recipe(training={"bf16": asked, "dataloader_num_workers": 3}), "out", True)
        assert (arguments.bf16, arguments.dataloader_num_workers) == (asked, 3)

    def test_not_beside_fp16(self, machine: Callable[..., None]) -> None:
        machine()
        assert settings.defaults_of_the_machine({"fp16": True}, False)["bf16"] is False

    @pytest.mark.parametrize(("cores", "workers"), [(1, 0), (2, 0), (3, 1), (4, 2), (64, 4)])
    def test_processes_that_open_pictures(self, cores: int, workers: int, machine: Callable[..., None]) -> None:
        machine(cores=cores)
        assert training_arguments(recipe(), "out", opens_pictures=True).dataloader_num_workers == workers
        assert training_arguments(recipe(), "out", opens_pictures=False).dataloader_num_workers == 0

    def test_none_with_little_shared_memory_or_where_cores_are_shared(
        self, machine: Callable[..., None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        machine(cores=8, shared_memory=2**26)
        assert settings.worker_processes() == 0
        machine(cores=8)
        monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
        assert settings.worker_processes() == 0


STEPS = {"eval_strategy": "steps", "save_strategy": "steps"}


@pytest.mark.parametrize(
    ("settings", "expected", "told"),
    [
        ({}, {}, ""),
        ({"eval_steps": 10}, {**STEPS, "save_steps": 10}, "--save_steps 10 --save_strategy steps."),
        ({"save_steps": 10}, {**STEPS, "eval_steps": 10}, "--eval_steps 10 --eval_strategy steps --save_strategy"),
        ({"eval_steps": 10, "save_steps": 25}, {**STEPS, "save_steps": 30}, "--save_steps 30"),
        ({"eval_steps": 25, "save_steps": 10}, {**STEPS, "save_steps": 25}, "--save_steps 25"),
        ({"eval_strategy": "steps"}, {**STEPS, "eval_steps": 20, "save_steps": 20}, "--save_strategy steps"),
        ({"eval_steps": 0.1, "save_steps": 0.3}, {**STEPS, "save_steps": 0.1}, "--save_steps 0.1"),
        ({**STEPS, "eval_steps": 5, "save_steps": 10}, {}, ""),
        ({"eval_strategy": "no"}, {"load_best_model_at_end": False}, "the last weights are kept"),
        ({"load_best_model_at_end": False, "save_steps": 7}, {"save_strategy": "steps"}, "--save_strategy steps"),
        ({"save_strategy": "no"}, {"save_strategy": "epoch"}, "--save_strategy epoch"),
        ({"save_strategy": "best"}, {}, ""),
    ],
)
def test_validating_and_saving_go_together(
    settings: dict[str, Any], expected: dict[str, Any], told: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert aligned(settings) == {**settings, **expected}
    said = capsys.readouterr().out
    assert told in said and bool(said) == bool(told)
    training_arguments(recipe(training=settings), str(tmp_path))


def test_a_run_is_the_same_if_it_is_longer_or_watched_otherwise() -> None:
    one = recipe(training={"num_train_epochs": 1})
    assert differences(one, recipe(training={"num_train_epochs": 9, "logging_steps": 1, "report_to": "none"})) == []
    assert differences(one, dataclasses.replace(one, name="other", description="Another.")) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 1}, "seed 0, not 1"),
        ({"languages": ["de", "fr"]}, "languages none, not de,fr"),
        ({"lora": 8}, "lora 0, not 8"),
        ({"warm_start": "runs/teacher"}, "warm_start none, not runs/teacher"),
        ({"network": "cross-lingual"}, "network cross-modal, not cross-lingual"),
        ({"training": {"learning_rate": 1.0}}, "learning_rate 0.01, not 1.0"),
        ({"model": {"num_slots": 3}}, "num_slots 2, not 3"),
        ({"skip_broken": True}, "skip_broken False, not True"),
    ],
)
def test_other_runs_are_told_apart(changes: dict[str, Any], words: str) -> None:
    assert words in differences(recipe(), recipe(**changes))
