r"""Names of files as text: the same name written in two Unicode forms, and names that are not text at all.

Linux allows any bytes in a name. Python holds those that are not UTF-8 as surrogates, which no database, Parquet file
or JSON stores. They are stored as they are shown, `\xff`, and the file is found again by that name.
"""

import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

Value = TypeVar("Value")
_SURROGATE = re.compile("[\ud800-\udfff]")
_STORED = re.compile(r"\\x([89a-f][0-9a-f])")


def comparable(text: str) -> str:
    """Return a text in the form in which two that look alike are the same: macOS writes accents as characters."""
    return unicodedata.normalize("NFC", text)


def stored_name(name: str | Path) -> str:
    r"""Return a name as text that can be stored; bytes that are not UTF-8 become `\xff`."""
    return _SURROGATE.sub(lambda match: f"\\x{ord(match[0]) & 0xFF:02x}", str(name))


def stored_path(stored: str | Path) -> Path:
    r"""Return the path that `stored_name` made a text of: the one of exactly this name if it exists."""
    path = stored if isinstance(stored, Path) else Path(stored)
    if "\\x" not in str(stored) or os.path.lexists(path):
        return path
    found = Path()
    for part in path.parts:
        raw = _STORED.sub(lambda match: chr(0xDC00 + int(match[1], 16)), part)
        found /= raw if not os.path.lexists(found / part) and os.path.lexists(found / raw) else part
    return found


class ByName(dict[str, Value]):
    """A dictionary whose keys are names: the same name is found in whichever Unicode form it is written."""

    def __init__(self, items: Iterable[tuple[str, Value]] = ()) -> None:
        super().__init__()
        for name, value in items:
            self[name] = value

    def __setitem__(self, name: str, value: Value) -> None:
        super().__setitem__(_key(name), value)

    def __getitem__(self, name: str) -> Value:
        return super().__getitem__(_key(name))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(_key(name))

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of a name, or the default."""
        return super().get(_key(name), default)

    def setdefault(self, name: str, default: Any = None) -> Any:
        """Return the value of a name, which becomes the default if it has none."""
        return super().setdefault(_key(name), default)


def _key(name: str) -> str:
    return comparable(stored_name(name))
