import os
import sys
import unicodedata
from pathlib import Path

import pytest

from processing.names import ByName, comparable, stored_name, stored_path

RAW = os.fsdecode(b"caf\xe9 \xff.png")


@pytest.mark.parametrize("name", ["genève", "čeština", "한국어", "が", "Ωm"])
def test_names_that_look_alike_are_the_same(name: str) -> None:
    composed, decomposed = (unicodedata.normalize(form, name) for form in ("NFC", "NFD"))
    assert comparable(decomposed) == comparable(composed)
    assert ByName([(composed, 1)])[decomposed] == 1
    assert decomposed in ByName([(composed, 1)]) and composed in ByName([(decomposed, 1)])
    assert ByName([(decomposed, 1)]).get(composed) == 1
    assert ByName([(decomposed, 1)]).setdefault(composed, 2) == 1


def test_a_name_that_is_no_text_is_stored_as_one() -> None:
    assert stored_name(RAW) == r"caf\xe9 \xff.png"
    assert stored_name(Path("a") / RAW).encode()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_the_file_of_a_stored_name_is_found_again(tmp_path: Path) -> None:
    for folder in (os.fsdecode(b"d\xfcsseldorf"), "plain"):
        for name in (RAW, "büro.png", r"literally \xff.png"):
            path = tmp_path / folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(name, errors="surrogateescape")
            assert stored_path(stored_name(path)) == path


def test_a_file_of_exactly_the_stored_name_goes_first(tmp_path: Path) -> None:
    (tmp_path / r"\xff").touch()
    assert stored_path(str(tmp_path / r"\xff")) == tmp_path / r"\xff"
    assert stored_path(str(tmp_path / r"\xfe")) == tmp_path / r"\xfe"
