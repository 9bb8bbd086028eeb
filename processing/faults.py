"""What is not the program's fault but the machine's: a full disk, a folder that may not be written, a missing drive.

Python says so with an `OSError`; the libraries that write weights, tables and indexes say it in their own ways.
"""

import errno
import re

_FULL = (errno.ENOSPC, errno.EDQUOT)
_TOO_LARGE = (errno.EFBIG,)
# What libraries write into their messages: Rust, Arrow and FAISS quote the system, PyTorch and SQLite do not.
_QUOTED = re.compile(
    r"No space left on device|Disk quota exceeded|File too large|Read-only file system|Permission denied"
    r"|Input/output error|Not a directory|Too many open files|Stale file handle"
)
_UNQUOTED = re.compile(
    r"PytorchStreamWriter failed|inline_container.cc:\d+\] \. unexpected pos|file write failed|iostream error"
    r"|database or disk is full"
)
_FOREIGN = ("SafetensorError", "RuntimeError", "ArrowException", "ArrowInvalid", "OperationalError", "Exception")
FULL = "the disk is full, or a quota is used up; free some space"


def fault_of_the_machine(error: BaseException) -> str | None:
    """Return what the machine could not do, for errors of the system and what libraries make of them; or else None."""
    if isinstance(error, OSError):
        return _said_by_the_system(error)
    if type(error).__name__ not in _FOREIGN:
        return None
    text = str(error)
    match = _QUOTED.search(text)
    if match and match[0] not in ("No space left on device", "Disk quota exceeded"):
        return f"A file cannot be written: {match[0].lower()}"
    return _capital(FULL) if match or _UNQUOTED.search(text) else None


def _said_by_the_system(error: OSError) -> str | None:
    name = "" if error.filename is None else f"{error.filename}: "
    if error.errno in _FULL or "No space left" in str(error):
        return f"{name}{FULL}" if name else _capital(FULL)
    if error.errno in _TOO_LARGE:
        reason = "a file is larger than this disk, or the limit of this session, allows; write to another disk"
        return f"{name}{reason}" if name else _capital(reason)
    if error.errno is None or not error.strerror:
        return None
    return f"{name}{error.strerror}" if name else f"The system refused to go on: {error.strerror}"


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
