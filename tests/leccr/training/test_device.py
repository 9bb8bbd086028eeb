import pytest

from leccr.errors import UserError
from leccr.training.device import device_settings
from processing import device


def test_trainer_is_told_only_where_it_would_not_go_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "is_available", lambda name: name in ("cpu", "cuda", "cuda:1"))
    assert device_settings("cpu") == {"use_cpu": "true"}
    assert device_settings("auto") == device_settings("cuda") == {}
    with pytest.raises(UserError, match="not only cuda:1; set CUDA_VISIBLE_DEVICES=1."):
        device_settings("cuda:1")
    with pytest.raises(UserError, match="This machine has no device mps"):
        device_settings("mps")
