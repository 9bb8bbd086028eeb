import pytest

from hub_card.names import is_repository


@pytest.mark.parametrize("name", ["org/name", "Org-1/a_b.c"])
def test_names_of_repositories(name: str) -> None:
    assert is_repository(name)


@pytest.mark.parametrize("name", ["", "name", "a/b/c", "./a", "../a/b", "/a/b", "org/na me", "org/a..b", "org/-a"])
def test_other_names(name: str) -> None:
    assert not is_repository(name)
