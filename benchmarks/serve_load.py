"""A hundred clients of `leccr serve` for one minute: errors, waiting times, and memory before and after.

    python -m benchmarks.serve_load --gallery quickstart/gallery

The server runs in a separate process. Each client keeps a connection, searches in one of six languages, now and then
embeds four texts or fetches a thumbnail, and pauses for about a second in between.
"""

import argparse
import asyncio
import json
import os
import random
import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from .space_load import MEGABYTE, summary

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "serve_load.json"
IDEAS = HERE.parent / "spaces" / "samples" / "ideas.json"
WARM_SECONDS = 5.0
SECONDS_BETWEEN_LOOKS = 5.0
PAUSE_SECONDS = (0.5, 1.5)
EMBEDS, LOOKS = 0.1, 0.1


@contextmanager
def served(gallery: Path, threads: int, more: Sequence[str] = ()) -> Iterator[tuple[str, psutil.Process]]:
    """Serve a gallery, and yield the server's address and its process."""
    command = [sys.executable, "-m", "leccr", "serve", str(gallery), "--port", "0", "--quiet", *more]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(threads)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        found = re.search(r"http://\S+:\d+", process.stdout.readline())
        assert found is not None, "the server has not started"
        yield found[0], psutil.Process(process.pid)
    finally:
        process.terminate()
        assert process.wait(60) == 0


class Load:
    """Clients of one server, and how they fared.

    Args:
        client: Where they ask.
        queries: What they ask for.
        seed: Of their choices.
    """

    def __init__(self, client: httpx.AsyncClient, queries: Sequence[str], seed: int) -> None:
        self.client, self.queries, self.seed = client, queries, seed
        self.waited: dict[str, list[float]] = defaultdict(list)
        self.errors: list[str] = []

    async def run(self, clients: int, seconds: float) -> None:
        """Let some clients ask for some time."""
        until = time.monotonic() + seconds
        await asyncio.gather(*(self._client(until, random.Random(self.seed + number)) for number in range(clients)))

    async def _client(self, until: float, chance: random.Random) -> None:
        # They do not all come in the same instant.
        await asyncio.sleep(chance.uniform(0, PAUSE_SECONDS[1]))
        thumbnail = None
        while time.monotonic() < until:
            kind = chance.random()
            if kind < EMBEDS:
                asked = {"model": "any", "input": chance.sample(self.queries, 4)}
                await self._ask("embeddings", "POST", "/v1/embeddings", json=asked)
            elif kind < EMBEDS + LOOKS and thumbnail:
                await self._ask("thumbnail", "GET", thumbnail)
            else:
                asked = {"query": chance.choice(self.queries), "k": 12}
                answer = await self._ask("search", "POST", "/search", json=asked)
                thumbnail = answer.json()["results"][0]["thumbnail"] if answer else None
            await asyncio.sleep(chance.uniform(*PAUSE_SECONDS))

    async def _ask(self, name: str, method: str, path: str, **content: object) -> httpx.Response | None:
        started = time.monotonic()
        try:
            answer = await self.client.request(method, path, **content)  # type: ignore[arg-type]
            answer.raise_for_status()
        except httpx.HTTPError as error:
            self.errors.append(repr(error))
            return None
        self.waited[name].append(time.monotonic() - started)
        return answer


async def measure(
    address: str, process: psutil.Process, queries: Sequence[str], clients: int, seconds: float, seed: int
) -> dict[str, object]:
    """Return how clients fared after some seconds that warm the server up, and its memory all along."""
    limits = httpx.Limits(max_connections=clients, max_keepalive_connections=clients)
    async with httpx.AsyncClient(base_url=address, limits=limits, timeout=60) as client:
        await Load(client, queries, seed).run(clients, min(WARM_SECONDS, seconds))
        load = Load(client, queries, seed + clients)
        memory = [process.memory_info().rss]
        running = asyncio.create_task(load.run(clients, seconds))
        while not running.done():
            await asyncio.wait({running}, timeout=SECONDS_BETWEEN_LOOKS)
            memory.append(process.memory_info().rss)
        await running
        healthy = (await client.get("/healthz")).status_code
    return {
        "clients": clients,
        "seconds": seconds,
        "requests": sum(map(len, load.waited.values())),
        "errors": load.errors,
        **{name: summary(waited) for name, waited in sorted(load.waited.items()) if len(waited) > 1},
        "memory_mb_before": round(memory[0] / MEGABYTE),
        "memory_mb_after": round(memory[-1] / MEGABYTE),
        "memory_growth": round(memory[-1] / memory[0] - 1, 4),
        "memory_mb_every_5_s": [round(each / MEGABYTE) for each in memory],
        "health_afterwards": healthy,
    }


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gallery", type=Path, required=True, help="such as that of the quickstart")
    parser.add_argument("--model", help="its model, if it was moved")
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--threads", type=int, default=2, help="threads of the server's arithmetic")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args(given)
    queries = [text for idea in json.loads(IDEAS.read_text(encoding="utf-8")) for text in idea.values()]
    more = ["--model", arguments.model] if arguments.model else []
    with served(arguments.gallery, arguments.threads, more) as (address, process):
        result = asyncio.run(measure(address, process, queries, arguments.clients, arguments.seconds, arguments.seed))
    print(json.dumps(result, indent=2))
    arguments.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
