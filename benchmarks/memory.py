"""Memory of this process, as Linux counts it."""

from pathlib import Path


def resident_megabytes() -> float:
    """Return what this process has in memory now."""
    return _status("VmRSS")


def peak_megabytes() -> float:
    """Return the most memory that this process ever had; `getrusage` counts its parent's, too."""
    return _status("VmHWM")


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(f"{name}:"))) / 1024
