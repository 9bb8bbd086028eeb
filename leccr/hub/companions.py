"""What goes to the Hub next to a checkpoint: a handler for Inference Endpoints, and programs."""

from fnmatch import fnmatch
from pathlib import Path

from ..errors import UserError
from .own_files import own_files

ENDPOINT_REQUIREMENTS = "pillow>=10\ntransformers>=5.6,<6\n"
# The folder of a repository in which libraries look for programs.
PROGRAMS = "onnx"
NEVER = (".*", "*.part", "*.parts", "*-journal", "*.lock", "*.tmp", "*~")


def endpoint_files(folder: Path) -> dict[str, bytes]:
    """Return the files with which Inference Endpoints run a model, by name.

    Raises:
        UserError: If the checkpoint's folder has a file of such a name.
    """
    existing = [name for name in ("handler.py", "requirements.txt") if (folder / name).exists()]
    if existing:
        raise UserError(f"{folder / existing[0]} exists already; move it away, or leave --endpoint-handler out.")
    handler = Path(__file__).with_name("handler.py").read_bytes()
    return {"handler.py": handler, "requirements.txt": ENDPOINT_REQUIREMENTS.encode()}


def program_files(folder: Path) -> dict[str, Path]:
    """Return the files that `leccr export` wrote into the folder `onnx` of a checkpoint, by their names on the Hub."""
    programs = folder / PROGRAMS
    if programs.is_symlink() or not programs.is_dir():
        return {}
    names = [name for name in own_files(programs)[0] if not any(fnmatch(name, pattern) for pattern in NEVER)]
    return {f"{PROGRAMS}/{name}": programs / name for name in names}


def has_onnx(folder: Path) -> bool:
    """Return whether ONNX programs would be published with a checkpoint."""
    return any(name.endswith(".onnx") for name in (*own_files(folder)[0], *program_files(folder)))
