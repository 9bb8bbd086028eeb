import pytest

from leccr.demo.space import space, space_folder
from leccr.errors import UserError


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError("No module named 'gradio'", name="gradio")

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(UserError, match="The page needs libraries .*: pip install 'gradio"):
        space("page")


def test_the_space_is_next_to_the_package() -> None:
    assert (space_folder() / "app.py").is_file()
