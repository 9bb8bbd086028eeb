"""What is published next to a checkpoint."""

import tomllib
from pathlib import Path

import pytest

from leccr.errors import UserError
from leccr.hub.card_facts import read_facts
from leccr.hub.push import plan_upload
from tests.leccr.hub.test_push import NAME


def test_a_handler_for_endpoints_goes_along_on_request(checkpoint: Path) -> None:
    files = plan_upload(checkpoint, NAME, endpoint_handler=True).files
    assert b"class EndpointHandler" in bytes(files["handler.py"])
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(bytes(files["requirements.txt"]).decode().split()) <= set(project["dependencies"])


def test_a_handler_is_for_a_model(tmp_path: Path) -> None:
    (tmp_path / "rows.parquet").write_bytes(b"rows")
    with pytest.raises(UserError, match="--endpoint-handler are for a model, and this is a data set"):
        plan_upload(tmp_path, NAME, endpoint_handler=True)


def test_a_handler_of_ones_own_is_not_replaced(checkpoint: Path) -> None:
    (checkpoint / "handler.py").write_text("mine")
    with pytest.raises(UserError, match="handler.py exists already; move it away, or leave --endpoint-handler out"):
        plan_upload(checkpoint, NAME, endpoint_handler=True)
    assert plan_upload(checkpoint, NAME).files["handler.py"] == checkpoint / "handler.py"


class TestPrograms:
    def test_those_in_their_folder_go_along_and_are_named_in_the_card(self, checkpoint: Path) -> None:
        assert not read_facts(checkpoint, NAME).onnx
        (checkpoint / "onnx" / "below").mkdir(parents=True)
        for name in ("text.onnx", "tokenizer.json", "search.py", "a.part"):
            (checkpoint / "onnx" / name).write_text(name)
        upload = plan_upload(checkpoint, NAME)
        programs = {name for name in upload.files if name.startswith("onnx/")}
        assert programs == {"onnx/text.onnx", "onnx/tokenizer.json", "onnx/search.py"}
        assert upload.files["onnx/text.onnx"] == checkpoint / "onnx" / "text.onnx"
        assert "onnx/" not in upload.left_out and "checkpoints/" in upload.left_out
        assert upload.card is not None and "\n- onnx\n" in upload.card

    def test_beside_the_weights(self, checkpoint: Path) -> None:
        (checkpoint / "text.onnx").write_bytes(b"program")
        assert read_facts(checkpoint, NAME).onnx

    def test_a_link_leads_nowhere(self, checkpoint: Path, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "text.onnx").write_bytes(b"secret")
        (checkpoint / "onnx").symlink_to(tmp_path / "elsewhere")
        upload = plan_upload(checkpoint, NAME)
        assert not any("onnx" in name for name in upload.files) and any(
            "onnx (a link" in name for name in upload.left_out
        )
        assert not read_facts(checkpoint, NAME).onnx
