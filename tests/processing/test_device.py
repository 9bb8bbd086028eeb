import pytest
import torch
from torch import nn

from processing import device
from processing.device import check_names, choose_device, choose_dtype, is_available, to_device
from processing.errors import UserError


def with_devices(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(device, "is_available", lambda name: name in names)


@pytest.mark.parametrize(
    ("present", "chosen"),
    [(("cpu",), "cpu"), (("cpu", "mps"), "mps"), (("cpu", "mps", "cuda"), "cuda")],
)
def test_auto_takes_a_gpu_if_there_is_one(monkeypatch: pytest.MonkeyPatch, present: tuple[str], chosen: str) -> None:
    with_devices(monkeypatch, *present)
    assert choose_device("auto") == torch.device(chosen)


def test_a_named_device(monkeypatch: pytest.MonkeyPatch) -> None:
    with_devices(monkeypatch, "cpu", "cuda", "cuda:1")
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("cuda:1") == torch.device("cuda", 1)
    assert choose_device(torch.device("meta")) == torch.device("meta")


@pytest.mark.parametrize("name", ["cuda", "cuda:1", "mps"])
def test_a_device_that_is_absent(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with_devices(monkeypatch, "cpu")
    with pytest.raises(UserError, match=f"^This machine has no device {name} that PyTorch can use; choose --device"):
        choose_device(name)


@pytest.mark.parametrize("name", ["gpu", "CUDA", "cuda:", "cuda:x", ""])
def test_an_unknown_device(name: str) -> None:
    with pytest.raises(UserError, match=f"^There is no device '{name}'; choose auto, cpu, cuda, mps, or one of"):
        choose_device(name)


def test_availability_is_what_torch_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    names = ("cpu", "mps", "cuda", "cuda:0", "cuda:1", "cuda:2")
    assert [name for name in names if is_available(name)] == ["cpu", "cuda", "cuda:0", "cuda:1"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert [name for name in names if is_available(name)] == ["cpu", "mps"]


def test_precisions() -> None:
    found = [choose_dtype(name) for name in ("auto", "fp32", "bf16", "fp16")]
    assert found == [None, torch.float32, torch.bfloat16, torch.float16]
    with pytest.raises(UserError, match="There is no precision 'float16'; choose one of auto, fp32, bf16, fp16."):
        check_names(dtype="float16")


def test_a_model_is_moved_and_rounded() -> None:
    moved = to_device(nn.Sequential(nn.Dropout(), nn.Linear(2, 2)), torch.device("meta"), "bf16")
    assert not moved.training
    assert {(weight.device.type, weight.dtype) for weight in moved.parameters()} == {("meta", torch.bfloat16)}
    assert next(to_device(nn.Linear(2, 2, dtype=torch.float16), "cpu").parameters()).dtype == torch.float16
