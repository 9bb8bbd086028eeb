import errno
import os

import pyarrow as pa
import pytest
import torch
from safetensors import SafetensorError

from processing.faults import FULL, fault_of_the_machine

FULL_SENTENCE = FULL[0].upper() + FULL[1:]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "model.pt"), f"model.pt: {FULL}"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), FULL_SENTENCE),
        (OSError("[Errno 28] Error writing bytes to file. Detail: [errno 28] No space left on device"), FULL_SENTENCE),
        (SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"), FULL_SENTENCE),
        (RuntimeError("[enforce fail at inline_container.cc:6] . PytorchStreamWriter failed writing"), FULL_SENTENCE),
        (RuntimeError("could not open /g/.hnsw: Permission denied"), "A file cannot be written: permission denied"),
        (RuntimeError("basic_ios::clear: iostream error"), FULL_SENTENCE),
        (PermissionError(errno.EACCES, "Permission denied", "/out"), "/out: Permission denied"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "file/x"), "file/x: Not a directory"),
        (OSError(errno.EMFILE, "Too many open files"), "The system refused to go on: Too many open files"),
    ],
)  # fmt: skip
def test_what_the_machine_could_not_do_is_said(error: Exception, expected: str) -> None:
    assert fault_of_the_machine(error) == expected


@pytest.mark.parametrize(
    "error",
    [ValueError("No space left on device"), RuntimeError("shape mismatch"), pa.ArrowInvalid("bad"), KeyError("x"),
     FileNotFoundError("There is no folder x.")],
)  # fmt: skip
def test_what_is_no_fault_of_the_machine_is_none(error: Exception) -> None:
    assert fault_of_the_machine(error) is None


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has /dev/full")
def test_what_the_libraries_raise_on_a_full_disk_is_known() -> None:
    """The messages above are those of real libraries."""
    with pytest.raises(Exception) as weights:
        torch.save({"weights": torch.zeros(10**6)}, "/dev/full")
    with pytest.raises(Exception) as table, pa.OSFile("/dev/full", "wb") as file:
        file.write(bytes(10**6))
    for caught in (weights, table):
        assert fault_of_the_machine(caught.value) == FULL_SENTENCE, caught.value
