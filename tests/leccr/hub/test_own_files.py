"""What links lead to is never published."""

import os
from pathlib import Path

import pytest

from leccr.errors import UserError
from leccr.gallery.store.catalogue import Catalogue
from leccr.gallery.store.state import State
from leccr.hub.own_files import own_files
from leccr.hub.push import plan_upload, run_push
from processing.storage import write_rows
from tests.leccr.hub.test_push import NAME


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    folder = tmp_path / "private"
    folder.mkdir()
    (folder / "key.txt").write_text("secret")
    return folder / "key.txt"


def add_traps(folder: Path, secret: Path) -> list[str]:
    """Put everything into a folder that is no file of its own, and return the names."""
    (folder / "link.json").symlink_to(secret)
    (folder / "relative.json").symlink_to(os.path.relpath(secret, folder))
    (folder / "dangling.json").symlink_to(secret.parent / "gone")
    (folder / "loop.json").symlink_to("loop.json")
    (folder / "linked_folder").symlink_to(secret.parent)
    os.mkfifo(folder / "pipe.json")
    return ["link.json", "relative.json", "dangling.json", "loop.json", "linked_folder", "pipe.json"]


def check(upload: object, traps: list[str]) -> None:
    assert not any(Path(name).parts[0] in traps for name in upload.files)  # type: ignore[attr-defined]
    for name, file in upload.files.items():  # type: ignore[attr-defined]
        content = file if isinstance(file, bytes) else file.read_bytes()
        assert b"secret" not in content, name
    listing = upload.listing(NAME)  # type: ignore[attr-defined]
    assert all(trap in listing for trap in traps)
    assert "secret" not in listing


def test_a_checkpoint(checkpoint: Path, secret: Path) -> None:  # noqa: F811
    traps = add_traps(checkpoint, secret)
    add_card(checkpoint, secret)
    upload = plan_upload(checkpoint, NAME)
    check(upload, traps)
    assert "secret" not in str(upload.card)


def add_card(folder: Path, secret: Path) -> None:
    card = secret.parent / "card.md"
    card.write_text("---\nlicense: mit\n---\n# Mine\n\nsecret\n")
    (folder / "README.md").unlink(missing_ok=True)
    (folder / "README.md").symlink_to(card)


def test_a_data_set_and_what_is_below_it(tmp_path: Path, secret: Path) -> None:
    folder = tmp_path / "data"
    write_rows(folder, "train", [{"id": "a", "source_language": "en", "source_captions": ["A."]}])
    (folder / "more").mkdir()
    (folder / "more" / "own.txt").write_text("own")
    (folder / "more" / "link.txt").symlink_to(secret)
    add_card(folder, secret)
    traps = add_traps(folder, secret)
    upload = plan_upload(folder, NAME)
    check(upload, traps)
    assert "more/own.txt" in upload.files and "more/link.txt" not in upload.files
    assert upload.card is None


def test_a_gallery(tmp_path: Path, secret: Path) -> None:
    folder = tmp_path / "gallery"
    Catalogue.create(folder, State("model", "0", 1, 4, False)).close()
    (folder / "views-1.fp32").symlink_to(secret)
    traps = [*add_traps(folder, secret), "views-1.fp32"]
    check(plan_upload(folder, NAME), traps)


def test_weights_that_are_links_only(checkpoint: Path) -> None:  # noqa: F811
    (checkpoint / "model.safetensors").rename(checkpoint.parent / "w")
    (checkpoint / "model.safetensors").symlink_to(checkpoint.parent / "w")
    with pytest.raises(UserError, match="what links lead to is not uploaded"):
        plan_upload(checkpoint, NAME)


def test_a_folder_that_is_a_link_itself(checkpoint: Path, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "link").symlink_to(checkpoint)
    assert "config.json" in plan_upload(tmp_path / "link", NAME).files
    assert own_files(tmp_path / "link") == own_files(checkpoint)


@pytest.mark.parametrize(
    "name",
    ["org/name.git", "org/name.GIT", "org/a.ipynb", "datasets/name", "Models/name", "org/" + "a" * 96, "o" * 43 + "/a"]
    + ["org.x/name", "name", "org/a--b", "org/na me", "a/b/c", "org/", "/name", "org/name.lock", "org/\u0430"],
)
def test_a_dry_run_refuses_names_that_the_hub_refuses(checkpoint: Path, name: str) -> None:  # noqa: F811
    with pytest.raises(UserError, match="name on the Hub|does not take the name"):
        run_push(checkpoint, name, dry_run=True)


@pytest.mark.parametrize("revision", ["a b", "a..b", "-a", "a~1", "a.lock", "/a", "a/", "", "a\nb", "a:b", "@"])
def test_a_dry_run_refuses_branches_that_the_hub_refuses(checkpoint: Path, revision: str) -> None:  # noqa: F811
    with pytest.raises(UserError, match="does not take the branch"):
        run_push(checkpoint, NAME, revision=revision, dry_run=True)
    assert run_push(checkpoint, NAME, revision="v1.0/try-2", dry_run=True)
