from pathlib import Path

import pytest

from hub_card.names import is_repository, public_name


@pytest.mark.parametrize("name", ["org/name", "Org-1/a_b.c"])
def test_names_of_repositories(name: str) -> None:
    assert is_repository(name)


@pytest.mark.parametrize("name", ["", "name", "a/b/c", "./a", "../a/b", "/a/b", "org/na me", "org/a..b", "org/-a"])
def test_other_names(name: str) -> None:
    assert not is_repository(name)


def test_folders_above_a_name_are_not_public(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runs" / "teacher").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert public_name("runs/teacher") == public_name(str(tmp_path / "gone" / "teacher")) == "teacher"
    assert public_name("../runs/teacher") == "teacher"
    assert [public_name(name) for name in ("org/name", "gpt-4o", "learned")] == ["org/name", "gpt-4o", "learned"]
