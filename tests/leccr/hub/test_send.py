"""Publishing to a Hub over HTTP, in this process."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants
from typer.testing import CliRunner

import leccr.hub.send
from leccr.cli import app
from leccr.data.facts import CARD
from leccr.errors import UserError
from leccr.hub.push import run_push
from tests.hub_card.figures import result
from tests.hub_server import READ_TOKEN, TOKEN, HubServer, serving

from .test_push import NAME


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A Hub that this process takes for the real one."""
    with serving() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        template = "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.url + template)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        # The command looks at the environment before the client is imported.
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield server
        assert server.problems == []


@pytest.fixture
def folder(request: pytest.FixtureRequest) -> Path:
    """The checkpoint of the other tests."""
    found: Path = request.getfixturevalue("checkpoint")
    return found


def test_a_first_upload_and_an_unchanged_second_one(hub: HubServer, folder: Path) -> None:
    address = run_push(folder, NAME)
    files = hub.files(NAME)
    assert {"config.json", "model.safetensors", CARD, ".gitattributes"} <= set(files)
    assert files["model.safetensors"] == b"weights"
    commits = hub.repositories["model", NAME].summaries
    assert commits == ["initial commit", "Publish the checkpoint with leccr"]
    assert address == f"{hub.url}/{NAME}/commit/{hub.repositories['model', NAME].branches['main']}"
    run_push(folder, NAME)
    assert commits[2:] == []
    assert len(hub.uploads) == 1


def test_what_a_person_edits_on_the_hub_stays(
    hub: HubServer, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_push(folder, NAME)
    edited = hub.files(NAME)[CARD].decode().replace("library_name:", "license: mit\nlibrary_name:") + "\nMine.\n"
    hub.edit(NAME, CARD, edited.encode())
    (tmp_path / "figures.json").write_text(json.dumps([result("de")]))
    run_push(folder, NAME, results=[tmp_path / "figures.json"], dataset="org/multi30k")
    card = hub.files(NAME)[CARD].decode()
    assert card.endswith("\nMine.\n") and "license: mit" in card and "### multi30k" in card
    assert ".eval_results/multi30k_test_de.yaml" in hub.files(NAME)
    (folder / CARD).write_text("Other words.\n")
    run_push(folder, NAME)
    assert "Other words." not in hub.files(NAME)[CARD].decode()
    assert "the one on the Hub, which is kept" in capsys.readouterr().out


def test_a_branch_leaves_main_alone(hub: HubServer, folder: Path) -> None:
    run_push(folder, NAME)
    (folder / "model.safetensors").write_bytes(b"others")
    run_push(folder, NAME, revision="experiment")
    assert hub.files(NAME)["model.safetensors"] == b"weights"
    assert hub.files(NAME, revision="experiment")["model.safetensors"] == b"others"


def test_weights_of_an_earlier_shape_are_removed(hub: HubServer, folder: Path) -> None:
    run_push(folder, NAME)
    hub.edit(NAME, "notes.txt", b"mine")
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    run_push(folder, NAME)
    files = hub.files(NAME)
    assert "model.safetensors" not in files
    assert "model-00001-of-00001.safetensors" in files and files["notes.txt"] == b"mine"


def test_private_means_private(hub: HubServer, folder: Path) -> None:
    run_push(folder, NAME, private=True)
    assert hub.repositories["model", NAME].private
    run_push(folder, "org/public")
    assert not hub.repositories["model", "org/public"].private
    with pytest.raises(UserError, match="exists already and is public"):
        run_push(folder, "org/public", private=True)


def test_a_dropped_connection_while_a_file_goes_up_is_tried_again(hub: HubServer, folder: Path) -> None:
    hub.drop("PUT /storage")
    run_push(folder, NAME)
    assert hub.files(NAME)["model.safetensors"] == b"weights"
    assert sum(request.startswith("PUT ") for request in hub.requests) == 2


def test_an_interrupted_upload_finishes_when_repeated_without_sending_again(hub: HubServer, folder: Path) -> None:
    hub.drop("POST .*/commit/")
    said = CliRunner().invoke(app, ["push", str(folder), NAME])
    assert said.exit_code == 2
    line = said.stderr.splitlines()[-1]  # after the progress bar
    assert line.startswith("Error: ") and "broke off" in line and "run the same command again" in line
    assert set(hub.files(NAME)) == {".gitattributes"}
    said = CliRunner().invoke(app, ["push", str(folder), NAME])
    assert said.exit_code == 0, said.stderr
    assert "model.safetensors" in hub.files(NAME)
    assert sum(request.startswith("PUT ") for request in hub.requests) == 1


@pytest.mark.parametrize(
    ("token", "name", "message"),
    [
        ("hf_" + "x" * 34, NAME, "does not accept the token: log in"),
        (READ_TOKEN, NAME, f"may not write to {NAME}"),
        (TOKEN, "strangers/model", "may not write to strangers/model"),
    ],
)
@pytest.mark.parametrize("exists", [False, True])
def test_a_refused_token_gives_one_line_and_shows_nowhere(
    hub: HubServer,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    token: str,
    name: str,
    message: str,
    exists: bool,
) -> None:
    if exists:
        run_push(folder, NAME)
    monkeypatch.setenv("HF_TOKEN", token)
    caplog.set_level(logging.DEBUG)
    said = CliRunner().invoke(app, ["push", str(folder), name])
    assert said.exit_code == 2
    (line,) = said.stderr.splitlines()
    assert line.startswith("Error: ") and message in line
    assert token not in said.output + said.stderr + caplog.text + "".join(hub.requests)


def test_the_token_shows_nowhere(
    hub: HubServer, folder: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    run_push(folder, NAME)
    captured = capfd.readouterr()
    content = b"".join(hub.files(NAME).values()).decode()
    assert TOKEN not in captured.out + captured.err + caplog.text + "".join(hub.requests) + content


def test_without_a_token_or_offline_nothing_is_asked(
    hub: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leccr.hub.send, "get_token", lambda: None)
    with pytest.raises(UserError, match="no token for the Hub"):
        run_push(folder, NAME)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="HF_HUB_OFFLINE"):
        run_push(folder, NAME)
    assert hub.requests == []


def test_a_hub_out_of_reach(hub: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"The connection to http://127.0.0.1:9 broke off or could not be made"):
        run_push(folder, NAME)


def test_the_other_storage_out_of_reach(hub: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Xet, which the client prefers where the Hub has it, raises errors of its own."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    with pytest.raises(UserError, match="storage broke off or could not be made; run the same command again"):
        run_push(folder, NAME)
    assert set(hub.files(NAME)) == {".gitattributes"}


def test_a_damaged_card_on_the_hub_stops_it_before_anything_is_sent(hub: HubServer, folder: Path) -> None:
    run_push(folder, NAME)
    broken = hub.files(NAME)[CARD].replace(b"<!-- leccr: end usage -->", b"")
    hub.edit(NAME, CARD, broken)
    with pytest.raises(ValueError, match=f"README.md of {NAME}"):
        run_push(folder, NAME)
    assert hub.files(NAME)[CARD] == broken


def test_somebody_elses_edit_at_the_same_time_is_not_lost(
    hub: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_push(folder, NAME)
    (folder / "config.json").write_text((folder / "config.json").read_text() + "\n")
    real = leccr.hub.send._operations

    def meanwhile(*arguments: object) -> object:
        operations = real(*arguments)  # type: ignore[arg-type]
        hub.edit(NAME, CARD, b"Edited meanwhile.\n")
        return operations

    monkeypatch.setattr(leccr.hub.send, "_operations", meanwhile)
    with pytest.raises(UserError, match="changed by somebody else"):
        run_push(folder, NAME)
    assert hub.files(NAME)[CARD] == b"Edited meanwhile.\n"
