"""Twenty visitors open the Space at the same instant: how long each waits for the first photos.

    python -m benchmarks.space_opening --model quickstart/model

The app runs in a separate process, as on the Hub. Each visitor does what a browser without a cache does: loads the page
and the scripts that it imports, asks for what fills it, and loads the photos of the first screen, six files at a time.
Visitors share the cores with the app.
"""

import argparse
import asyncio
import json
import re
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import httpx

from .space_load import served, summary

RESULTS = Path(__file__).parent / "results" / "space_opening.json"
FIRST_SCREEN = 15
FILES_AT_A_TIME = 6
SECONDS = 120.0
IMPORTED = re.compile(r"""(?:from|import)\s*["']\./([\w.-]+\.js)["']""")
# The first script names those that it loads next.
NAMED = re.compile(r"""["']\./([\w.-]+\.(?:js|css))["']""")
IN_PAGE = re.compile(r"""(?:src|href)=["']\./(assets/[\w./-]+\.(?:js|css))["']""")
PHOTO = re.compile(r"pictures/\w+/small\?v=\w+")


async def scripts_of(client: httpx.AsyncClient) -> list[str]:
    """Return the addresses of the scripts and styles that the page loads before it shows anything."""
    first = IN_PAGE.findall((await client.get("/")).text)
    waiting = list(first)
    found: dict[str, None] = {}
    while waiting:
        address = waiting.pop()
        if address not in found:
            found[address] = None
            text = (await client.get(f"/{address}")).text if address.endswith(".js") else ""
            named = NAMED if address in first else IMPORTED
            waiting += [f"assets/{name}" for name in named.findall(text)]
    return list(found)


def filling_event(config: dict[str, Any]) -> int:
    """Return the number of the event that fills the page when it is loaded."""
    return next(event["id"] for event in config["dependencies"] if any(name == "load" for _, name in event["targets"]))


async def fetch(client: httpx.AsyncClient, addresses: Iterable[str]) -> None:
    """Load files, some at a time, as a browser does."""
    limit = asyncio.Semaphore(FILES_AT_A_TIME)

    async def one(address: str) -> None:
        async with limit:
            (await client.get(f"/{address}")).raise_for_status()

    await asyncio.gather(*(one(address) for address in addresses))


async def visit(address: str, scripts: Sequence[str], event: int, number: int) -> dict[str, float]:
    """Open the page, and return after how many seconds its scripts, its content and its first photos were there."""
    waited = {}
    started = time.monotonic()
    async with httpx.AsyncClient(base_url=address, timeout=SECONDS) as client:
        (await client.get("/")).raise_for_status()
        await fetch(client, scripts)
        waited["scripts"] = time.monotonic() - started
        visitor = f"visitor{number}"
        asked = {"data": [], "fn_index": event, "session_hash": visitor, "event_data": None, "trigger_id": None}
        (await client.post("/gradio_api/queue/join", json=asked)).raise_for_status()
        photos: list[str] = []
        async with client.stream("GET", "/gradio_api/queue/data", params={"session_hash": visitor}) as answer:
            async for line in answer.aiter_lines():
                if "process_completed" in line:
                    photos = list(dict.fromkeys(PHOTO.findall(line)))[:FIRST_SCREEN]
                    break
        if not photos:
            raise RuntimeError("The page came without photos.")
        waited["content"] = time.monotonic() - started
        await fetch(client, photos)
        waited["photos"] = time.monotonic() - started
    return waited


async def measure(address: str, visitors: int) -> dict[str, Any]:
    """Return how long one visitor waits, and then many of them together."""
    async with httpx.AsyncClient(base_url=address, timeout=SECONDS) as client:
        scripts = await scripts_of(client)
        event = filling_event((await client.get("/config")).json())
    alone = await visit(address, scripts, event, 0)
    together = await asyncio.gather(*(visit(address, scripts, event, number + 1) for number in range(visitors)))
    return {
        "visitors": visitors,
        "files": len(scripts) + FIRST_SCREEN,
        "alone_ms": {name: round(1000 * seconds) for name, seconds in alone.items()},
        "together": {name: summary([each[name] for each in together]) for name in alone},
        "slowest_ms": round(1000 * max(each["photos"] for each in together)),
    }


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="such as the one that `leccr quickstart` trains")
    parser.add_argument("--visitors", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2, help="threads of the app's arithmetic")
    arguments = parser.parse_args(given)
    with served(arguments.model, arguments.threads) as (address, _):
        result = asyncio.run(measure(address.rstrip("/"), arguments.visitors))
    print(json.dumps(result, indent=2))
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
