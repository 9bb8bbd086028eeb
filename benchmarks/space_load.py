"""Twenty visitors of the Space at the same time, for two minutes: errors, waiting times and memory.

    python -m benchmarks.space_load --model quickstart/model

The app runs in a separate process, as on the Hub. Each visitor asks a question in one of six languages, reads the
answer for a second or two, now and then opens an explanation, and asks the next one. They arrive one after the other.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
from gradio_client import Client

HERE = Path(__file__).parent
SPACE = HERE.parent / "spaces"
RESULTS = HERE / "results" / "space_load.json"
PORT = 7871
READING_SECONDS = (1.0, 2.0)
EXPLAINED = 0.2
SECONDS_BETWEEN_ARRIVALS = 1.0
OPENING_SECONDS = 60.0
MEGABYTE = 2**20


@contextmanager
def served(model: Path, threads: int) -> Iterator[tuple[str, psutil.Process]]:
    """Serve the Space with a model, and yield its address and its process once it answers."""
    environment = {
        **os.environ,
        "LECCR_MODEL": str(model.resolve()),
        "GRADIO_SERVER_PORT": str(PORT),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": str(threads),
    }
    process = subprocess.Popen([sys.executable, "app.py"], cwd=SPACE, env=environment, stdout=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{PORT}/"
    try:
        wait_until_ready(address)
        yield address, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


def wait_until_ready(address: str, seconds: float = 180.0) -> None:
    """Wait until the app finds pictures."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            Client(address, verbose=False).predict(query="a", k=1, api_name="/search")
            return
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(1.0)


class Visitor(threading.Thread):
    """One visitor, who writes down how long each answer took and what went wrong."""

    def __init__(self, address: str, queries: Sequence[str], until: float, seed: int) -> None:
        super().__init__(daemon=True)
        self.address, self.queries, self.until = address, queries, until
        self.random = random.Random(seed)
        self.waited: dict[str, list[float]] = {"open": [], "search": [], "explain": []}
        self.errors: list[str] = []

    def run(self) -> None:
        """Ask until the time is over."""
        started = time.monotonic()
        client = Client(self.address, verbose=False, httpx_kwargs={"timeout": OPENING_SECONDS})
        self.waited["open"].append(time.monotonic() - started)
        while time.monotonic() < self.until:
            query = self.random.choice(self.queries)
            try:
                answer = self._ask(client, "search", query=query, k=12)
                if self.random.random() < EXPLAINED:
                    self._ask(client, "explain", id=answer["results"][0]["id"], query=query)
            except Exception as error:
                self.errors.append(repr(error))
            time.sleep(self.random.uniform(*READING_SECONDS))

    def _ask(self, client: Client, name: str, **inputs: Any) -> Any:
        started = time.monotonic()
        answer = client.predict(**inputs, api_name=f"/{name}")
        self.waited[name].append(time.monotonic() - started)
        return answer


def summary(seconds: Sequence[float]) -> dict[str, float]:
    """Return count, median and 95th percentile."""
    cuts = statistics.quantiles(seconds, n=100)
    return {"count": len(seconds), "p50_ms": round(1000 * cuts[49]), "p95_ms": round(1000 * cuts[94])}


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="such as the one that `leccr quickstart` trains")
    parser.add_argument("--visitors", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--threads", type=int, default=2, help="threads of the app's arithmetic")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(given)
    ideas = json.loads((SPACE / "samples" / "ideas.json").read_text(encoding="utf-8"))
    queries = [text for idea in ideas for text in idea.values()]
    with served(arguments.model, arguments.threads) as (address, process):
        until = time.monotonic() + arguments.visitors * SECONDS_BETWEEN_ARRIVALS + arguments.seconds
        visitors = [Visitor(address, queries, until, arguments.seed + number) for number in range(arguments.visitors)]
        for visitor in visitors:
            visitor.start()
            time.sleep(SECONDS_BETWEEN_ARRIVALS)
        memory = []
        while time.monotonic() < until:
            memory.append(round(process.memory_info().rss / MEGABYTE))
            time.sleep(5.0)
        for visitor in visitors:
            visitor.join(60.0)
        still = httpx.get(address).status_code
    result = {
        "visitors": arguments.visitors,
        "seconds": arguments.seconds,
        "errors": [error for visitor in visitors for error in visitor.errors],
        **{name: summary([s for v in visitors for s in v.waited[name]]) for name in ("open", "search", "explain")},
        "memory_mb_every_5_s": memory,
        "page_afterwards": still,
    }
    print(json.dumps(result, indent=2))
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
