"""Galleries of random unit vectors: size, memory and latency, each compared with a bare FAISS call on the same vectors.

    python -m benchmarks.gallery                       # 250,000 items × 4 views × 256
    python -m benchmarks.gallery --forms flat-fp16 flat-int8 --largest 0 --repeats 60     # two minutes
    python -m benchmarks.gallery --items 2000 --largest 3000 --hnsw-items 1000     # a minute, to see that it runs

Views are made of unit vectors drawn at random as a model makes them, 0.8·image + 0.2·slot. Each form of the gallery is
measured in a separate process: opened with its files dropped from the page cache, then asked queries of random unit
vectors for k = 10, one at a time and 100 at once. The bare call asks an index that FAISS filled itself for as many rows
as the gallery does, (k + 1)·K, in the same process, the two in turn, each of them first as often as the other. Random
vectors are the worst case for an approximate index and for small formats; `benchmarks.gallery_model` measures these on
photos. A graph of a smaller --build-width finds less, but is as large and opens in the same time. Results go to
`results/gallery.json` and, cost against size, to `results/gallery_size.png`.
"""

import argparse
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from leccr.gallery import Gallery
from leccr.gallery.store import faiss_engine
from leccr.gallery.store.catalogue import FOLDER, Catalogue, Item, put_item, read_state, source_number, write_state
from leccr.gallery.store.state import State
from leccr.gallery.store.storage import open_storage

from .gallery_report import plot, table
from .memory import peak_megabytes

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "gallery.json"
PLOT = HERE / "results" / "gallery_size.png"
K = 10
BLOCK = 8192
FORMS: dict[str, dict[str, str]] = {
    "flat fp32": {},
    "flat fp16": {"store": "fp16"},
    "flat int8": {"store": "int8"},
    "hnsw fp32": {"ann": "hnsw"},
}
WORDS = "a brown dog with a red collar runs through shallow water under a grey sky near two people on the beach"


def unit_vectors(count: int, width: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, width), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def random_views(count: int, views: int, width: int, seed: int) -> np.ndarray:
    """Return 0.8 times a random unit vector for each item plus 0.2 times one for each of its slots."""
    vectors = unit_vectors(count * (views + 1), width, seed).reshape(count, views + 1, width)
    return 0.8 * vectors[:, :1] + 0.2 * vectors[:, 1:]


def fill(folder: Path, items: int, views: int, width: int, name: str = "random", fingerprint: str = "0") -> None:
    """Write a gallery of random views, with metadata as photos would have, but without thumbnails."""
    state = State(name, fingerprint, views, width, True)
    catalogue = Catalogue.create(folder, state)
    for start in range(0, items, BLOCK):
        count = min(BLOCK, items - start)
        block = random_views(count, views, width, seed=start)
        with catalogue.writing() as connection:
            state = read_state(connection, str(folder))
            source = source_number(connection, FOLDER, "/photos")
            rows, counts = block.reshape(-1, width), np.full(count, views)
            checksums = open_storage(folder, state).append(state, rows, counts)
            for position, checksum in enumerate(checksums, start):
                path = f"{2000 + position % 25}/holiday {position % 300}/IMG_{position:07}.jpg"
                size, moment = 3_000_000 + position, 1_700_000_000 * 10**9 + position
                described = f"{WORDS} {position}"
                item = Item(path, path, "image", f"{position:032x}", size, moment, described, source, position)
                put_item(connection, dataclasses.replace(item, views=views, checksum=checksum), None)
            total = start + count
            changes = {"positions": total, "views": views * total, "items": total, "longest_view": 1.0001}
            write_state(connection, dataclasses.replace(state, **changes, version=state.version + 1))
    catalogue.close()


def size_of(folder: Path) -> float:
    return round(sum(path.stat().st_size for path in folder.iterdir()) / 2**20, 1)


def drop_from_cache(folder: Path) -> None:
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def milliseconds(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - began)


def percentiles(times: list[float]) -> dict[str, float]:
    return {"p50": round(float(np.percentile(times, 50)), 3), "p99": round(float(np.percentile(times, 99)), 3)}


def measure_opening(folder: Path, repeats: int) -> dict[str, Any]:
    """Open a gallery that is not in the page cache, and search it once; then everything that it holds in memory."""
    drop_from_cache(folder)
    queries = unit_vectors(repeats + 1, Gallery.open(folder).state.width, seed=10**6)
    drop_from_cache(folder)
    began = time.perf_counter()
    gallery = Gallery.open(folder)
    with gallery.catalogue.reading() as connection:
        gallery.snapshot(connection)
    opened = time.perf_counter()
    gallery.search(queries[0], K)
    searched = time.perf_counter()
    for query in queries[1:]:
        gallery.search(query, K)
    gallery.close()
    began_again = time.perf_counter()
    gallery = Gallery.open(folder)
    with gallery.catalogue.reading() as connection:
        gallery.snapshot(connection)
    return {
        "open_seconds": round(opened - began, 3),
        "open_again_seconds": round(time.perf_counter() - began_again, 3),
        "first_search_seconds": round(searched - opened, 3),
        "peak_memory_megabytes": round(peak_megabytes()),
    }


def bare_index(gallery: Gallery) -> tuple[Any, Any]:
    """Return an index that FAISS filled itself with the same vectors, and its search parameters."""
    import faiss

    from leccr.gallery.store.faiss_engine import SEARCH_WIDTH, FaissEngine
    from leccr.gallery.store.vectors import empty_index

    state = gallery.state
    engine = FaissEngine(gallery.folder, state)
    bare = empty_index(state)
    for start in range(0, len(engine.views.codes), BLOCK):
        bare.add(engine.views.rows(np.arange(start, min(start + BLOCK, len(engine.views.codes)))))
    if state.approximation is None:
        return bare, None
    graph = faiss.read_index(str(gallery.folder / str(state.approximation.file)), faiss.IO_FLAG_SKIP_STORAGE)
    graph.own_fields, graph.storage = False, bare
    return graph, faiss.SearchParametersHNSW(efSearch=max(SEARCH_WIDTH, state.view_count * (K + 1)))


def measure_latency(folder: Path, repeats: int) -> dict[str, Any]:
    gallery = Gallery.open(folder)
    state = gallery.state
    rows = state.view_count * (K + 1)
    queries = unit_vectors(repeats, state.width, seed=10**6 + 1)
    many = unit_vectors(100, state.width, seed=10**6 + 2)
    bare, parameters = bare_index(gallery)
    for query in queries[:3]:
        gallery.search(query, K)
        bare.search(query[None], rows, params=parameters)
    gallery_times: list[float] = []
    bare_times: list[float] = []
    ours_100: list[float] = []
    theirs_100: list[float] = []
    for number, query in enumerate(queries):
        calls = [
            (bare_times, lambda: bare.search(query[None], rows, params=parameters)),  # noqa: B023
            (gallery_times, lambda: gallery.search(query, K)),  # noqa: B023
        ]
        for times, call in calls if number % 2 else reversed(calls):
            times.append(milliseconds(call))
    for _ in range(max(2, repeats // 40)):
        theirs_100.append(milliseconds(lambda: bare.search(many, rows, params=parameters)))
        ours_100.append(milliseconds(lambda: gallery.search(many, K)))
    return {
        "one_query": percentiles(gallery_times),
        "one_query_bare": percentiles(bare_times),
        "overhead_p50": round(float(np.median(np.array(gallery_times) - np.array(bare_times))), 3),
        "ratio_p50": round(float(np.median(np.array(gallery_times) / np.array(bare_times))), 3),
        "hundred_queries": percentiles(ours_100),
        "hundred_queries_bare": percentiles(theirs_100),
        "top_10_of_fp32": None,
    }


def agreement(folder: Path, answers: Path, repeats: int) -> float:
    """Return the share of the ten best of the fp32 gallery that this form has among its ten best."""
    gallery = Gallery.open(folder)
    queries = unit_vectors(min(repeats, 100), gallery.state.width, seed=10**6 + 3)
    answered = [[result.id for result in results] for results in gallery.search(queries, K)]
    if not answers.exists():
        answers.write_text(json.dumps(answered))
    # Of the first form that is measured, which is fp32 unless it was left out.
    right = json.loads(answers.read_text())
    shares = [len(set(ids) & set(expected)) / K for ids, expected in zip(answered, right)]
    return round(float(np.mean(shares)), 4)


def in_child(action: str, *arguments: Any) -> Any:
    """Run one measurement in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.gallery", "--child", action, *map(str, arguments)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


CHILDREN: dict[str, Callable[..., Any]] = {
    "opening": lambda folder, repeats: measure_opening(Path(folder), int(repeats)),
    "latency": lambda folder, repeats: measure_latency(Path(folder), int(repeats)),
    "agreement": lambda folder, answers, repeats: agreement(Path(folder), Path(answers), int(repeats)),
}


def measure_form(name: str, items: int, views: int, width: int, scratch: Path, repeats: int) -> dict[str, Any]:
    folder = scratch / f"{name.replace(' ', '-')}-{items}"
    shutil.rmtree(folder, ignore_errors=True)
    began = time.perf_counter()
    fill(folder, items, views, width)
    written = time.perf_counter()
    if FORMS[name]:
        with Gallery.open(folder) as gallery:
            approximation = gallery.convert(**FORMS[name]).approximation
    built = time.perf_counter()
    row: dict[str, Any] = {"form": name, "items": items, "views": items * views, "width": width}
    row |= {"write_seconds": round(written - began, 1), "convert_seconds": round(built - written, 1)}
    row["megabytes"] = size_of(folder)
    if "ann" in FORMS[name] and approximation is not None:
        row["recall_at_10"] = approximation.recall
    row |= in_child("opening", folder, repeats)
    row |= in_child("latency", folder, repeats)
    row["top_10_of_fp32"] = in_child("agreement", folder, scratch / f"answers-{items}.json", repeats)
    shutil.rmtree(folder)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=250_000)
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=200, help="single queries")
    parser.add_argument("--hnsw-items", type=int, default=50_000, help="items of the gallery with the graph")
    parser.add_argument("--largest", type=int, default=1_000_000, help="views at the end of the curve")
    parser.add_argument("--largest-hnsw", type=int, default=100_000, help="the same for the graph")
    parser.add_argument("--scratch", type=Path, default=HERE / "cache" / "gallery")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--plot", type=Path, default=PLOT)
    parser.add_argument("--forms", nargs="+", choices=[name.replace(" ", "-") for name in FORMS], help="only these")
    parser.add_argument("--build-width", type=int, help="of the graph; smaller is faster")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(CHILDREN[given.child[0]](*given.child[1:])))
        return
    given.scratch.mkdir(parents=True, exist_ok=True)
    for answers in given.scratch.glob("answers-*.json"):
        answers.unlink()
    forms, curve = [], []
    if given.build_width:
        faiss_engine.BUILD_WIDTH = given.build_width
    chosen = [name for name in FORMS if given.forms is None or name.replace(" ", "-") in given.forms]
    for name in chosen:
        items = given.hnsw_items if "hnsw" in name else given.items
        forms.append(measure_form(name, items, given.views, given.width, given.scratch, given.repeats))
        print(json.dumps(forms[-1]), flush=True)
    for name, largest in (("flat fp32", given.largest), ("hnsw fp32", given.largest and given.largest_hnsw)):
        for views in (1000, 3000, 10_000, 30_000, 100_000, 300_000, 1_000_000):
            if views <= largest:
                row = measure_form(name, views // given.views, given.views, given.width, given.scratch, given.repeats)
                curve.append(row)
                print(json.dumps(row), flush=True)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps({"forms": forms, "curve": curve}, indent=2) + "\n")
    if curve:
        plot(curve, given.plot)
    print(table(forms))


if __name__ == "__main__":
    main()
