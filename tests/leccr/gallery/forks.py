"""A process that has everything imported, and forks at each request a child that does something to a gallery.

Starting Python and importing torch takes seconds; a fork takes milliseconds, so that many can be killed in one test.
A request is a line of JSON: a function of this file, its arguments, and a file for what it returns or dies of.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

BATCH = 3


def index(source: str, folder: str, **options: Any) -> int:
    """Index with a commit after each batch."""
    gallery = Gallery.build(source, MODEL, folder, batch_size=BATCH, workers=2, commit_seconds=0, **options)
    return len(gallery)


def add(folder: str, source: str) -> int:
    """Add with a commit after each batch."""
    gallery = Gallery.open(folder, MODEL)
    return gallery.add(source, batch_size=BATCH, workers=2, commit_seconds=0).added


def remove(folder: str, names: Sequence[str]) -> int:
    return len(Gallery.open(folder).remove(names))


def search(folder: str, until: str) -> list[list[Any]]:
    """Search until a file appears, and return all different answers in their order; each has all items."""
    gallery, answers = Gallery.open(folder, MODEL), []
    while True:
        last = os.path.exists(until)
        found = [[result.id, result.score] for result in gallery.search("en red 1", 1000)]
        if not answers or found != answers[-1]:
            answers.append(found)
        if last:
            return answers


def serve() -> None:
    for line in sys.stdin:
        name, arguments, outcome = json.loads(line)
        child = os.fork()
        if child:
            print(child, flush=True)
            os.waitpid(child, os.WNOHANG)
            continue
        try:
            result = {"result": globals()[name](**arguments)}
        except BaseException:
            result = {"error": traceback.format_exc()}
        Path(outcome + ".part").write_text(json.dumps(result))
        os.rename(outcome + ".part", outcome)
        os._exit(0)


class Forks:
    """The other side of `serve`.

    Args:
        folder: For outcomes.
    """

    def __init__(self, folder: Path) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1", "HF_HUB_OFFLINE": "1"}
        self.folder = folder
        self.count = 0
        self.process = subprocess.Popen(
            [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def start(self, name: str, **arguments: Any) -> tuple[int, Path]:
        """Start a function and return its process id, and the file with its outcome to come."""
        assert self.process.stdin and self.process.stdout
        self.count += 1
        outcome = self.folder / f"{self.count}.json"
        self.process.stdin.write(json.dumps([name, arguments, str(outcome)]) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline()), outcome

    def run(self, name: str, **arguments: Any) -> Any:
        """Run a function to its end and return what it returned."""
        return self.wait(self.start(name, **arguments)[1])

    def wait(self, outcome: Path) -> Any:
        """Return what a function returned."""
        deadline = time.monotonic() + 120
        while not outcome.exists():
            assert time.monotonic() < deadline and self.process.poll() is None
            time.sleep(0.002)
        result = json.loads(outcome.read_text())
        assert "error" not in result, result["error"]
        return result["result"]

    def kill_after(self, seconds: float, name: str, **arguments: Any) -> bool:
        """Start a function, kill it after a time, and return whether it was still running."""
        child, outcome = self.start(name, **arguments)
        time.sleep(seconds)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        _gone(child)
        return not outcome.exists()

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


def _gone(child: int) -> None:
    """Wait until a process that was killed has ended."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return
        if state == "Z":
            return
        time.sleep(0.001)
    raise AssertionError(f"process {child} does not end")


def forks(folder: Path) -> Iterator[Forks]:
    """Yield a server, for a fixture."""
    server = Forks(folder)
    yield server
    server.close()


if __name__ == "__main__":
    from leccr.gallery import Gallery
    from tests.leccr.gallery.tiny_gallery import encoder

    MODEL = encoder()
    # Whatever is imported at the first use is so before the first fork.
    MODEL.texts(["en red 1"])
    import leccr.gallery.build
    import leccr.gallery.folder_sources  # noqa: F401

    serve()
