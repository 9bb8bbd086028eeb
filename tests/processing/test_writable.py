import errno
import os
import re
import tempfile
from pathlib import Path
from unittest.mock import Mock

import pytest

from processing.errors import UserError
from processing.writable import check_writable


def test_what_can_be_written_passes_and_nothing_is_left(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "folder" / "a.json")
    check_writable(tmp_path / "new", folder=True)
    check_writable(tmp_path, folder=True)
    check_writable("/dev/null")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "folder", "message"),
    [
        ("file", True, "/file is a file; name a folder to write."),
        ("file/out", True, "/file is a file, so nothing can be written below it; choose another folder."),
        ("file/a/b.json", False, "/file is a file, so nothing can be written below it; choose another folder."),
        ("folder", False, "/folder is a folder; name a file to write."),
        ("dead/a.json", False, "/dead is a file, so nothing can be written below it; choose another folder."),
        ("a" * 300, False, "file name too long"),
        ("nul\0.json", False, "has a NUL in it"),
    ],
)
def test_what_cannot_be_written_is_named_before_the_work(tmp_path: Path, name: str, folder: bool, message: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "dead").symlink_to(tmp_path / "gone")
    with pytest.raises(UserError, match=re.escape(message)):
        check_writable(tmp_path / name, folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dead", "file", "folder"]


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_what_the_system_refuses_is_named_before_the_work(
    tmp_path: Path, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "NamedTemporaryFile", Mock(side_effect=OSError(code, os.strerror(code))))
    reason = os.strerror(code)
    with pytest.raises(
        UserError, match=f"Nothing can be written to {tmp_path}/a.json: {reason[0].lower()}{reason[1:]}"
    ):
        check_writable(tmp_path / "a.json")
