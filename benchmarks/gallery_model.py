"""A trained model's gallery: exactness in every language, loss of smaller forms, and the time of a query.

    python -m benchmarks.gallery_model --checkpoint runs/leccr-seed0 --data benchmarks/cache/flickr8k-cn

The photos of one split are indexed, and every caption of it is a query. "Exact" means that the items and the float32
scores are those of the full matrix of fused scores, max over views of the inner product, ties in the order of the
photos. Results go to `results/gallery_model.json`.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from leccr.data.loading import load_data
from leccr.evaluation.metrics import CUTOFFS
from leccr.gallery import Gallery
from leccr.gallery.store.ranking import exact_scores
from leccr.models.encoder import Encoder
from processing.captions import captions_by_language, languages_of

from .query import measure_query, with_tower

HERE = Path(__file__).parent
FORMS: dict[str, dict[str, str]] = {
    "flat fp32": {},
    "flat fp16": {"store": "fp16"},
    "flat int8": {"store": "int8"},
    "hnsw fp32": {"ann": "hnsw"},
    "ivfpq fp32": {"ann": "ivfpq"},
    "milvus": {"engine": "milvus", "uri": "views.db"},
}


def brute_force(views: np.ndarray, counts: np.ndarray, queries: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return all positions and scores for each query, from the full matrix of fused scores."""
    ranked = []
    firsts = np.cumsum(counts) - counts
    for query in queries:
        scores = np.maximum.reduceat(exact_scores(views, query), firsts)
        order = np.lexsort((np.arange(len(scores)), -scores))
        ranked.append((order, scores[order]))
    return ranked


def compare(
    gallery: Gallery, queries: np.ndarray, right: list[tuple[np.ndarray, np.ndarray]], ids: list[str], k: int
) -> float:
    """Return the share of queries whose k best items and scores are those of the full matrix."""
    same = 0
    for results, (order, scores) in zip(gallery.search(queries, k), right):
        names = [result.id for result in results] == [ids[position] for position in order[:k]]
        same += names and [result.score for result in results] == scores[:k].tolist()
    return same / len(queries)


def hit_rates(gallery: Gallery, queries: np.ndarray, owners: list[str]) -> dict[str, float]:
    ranks = []
    for results, owner in zip(gallery.search(queries, max(CUTOFFS)), owners):
        names = [result.id for result in results]
        ranks.append(names.index(owner) if owner in names else max(CUTOFFS))
    return {f"hit_rate_{cutoff}": round(100 * float(np.mean(np.array(ranks) < cutoff)), 2) for cutoff in CUTOFFS}


def measure_answers(built: Path, encoder: Encoder, data: str, split: str, scratch: Path) -> list[dict[str, Any]]:
    """Compare every form with the full matrix, language by language."""
    rows = load_data(data)[0][split].select_columns(["id", "source_language", "source_captions", "target_captions"])
    captions = [captions_by_language(row) for row in rows]
    with Gallery.open(built, encoder) as gallery, gallery.catalogue.reading() as connection:
        ids = [row[0] for row in connection.execute("SELECT id FROM items ORDER BY position")]
        exact_views = gallery.snapshot(connection).engine.at(np.arange(len(ids)))
    measured = []
    for name, form in FORMS.items():
        folder = scratch / name.replace(" ", "-")
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(built, folder)
        with Gallery.open(folder, encoder) as gallery:
            if form:
                gallery.convert(**form)
            with gallery.catalogue.reading() as connection:
                views = gallery.snapshot(connection).engine.at(np.arange(len(ids)))
            for language in languages_of(rows):
                asked = [(text, row["id"]) for row, own in zip(rows, captions) for text in own.get(language, [])]
                queries = encoder.texts([text for text, _ in asked])
                right = brute_force(*views, queries)
                line = {"form": name, "language": language, "items": len(ids), "queries": len(queries)}
                line |= {"same_10": compare(gallery, queries, right, ids, 10)}
                if name.startswith("flat"):
                    line["same_all"] = compare(gallery, queries[::10], right[::10], ids, len(ids))
                best = [{ids[position] for position in order[:10]} for order, _ in brute_force(*exact_views, queries)]
                found = gallery.search(queries, 10)
                shares = [
                    len({result.id for result in results} & expected) / 10 for results, expected in zip(found, best)
                ]
                line["recall_at_10_of_fp32"] = round(float(np.mean(shares)), 4)
                line |= hit_rates(gallery, queries, [owner for _, owner in asked])
                measured.append(line)
                print(json.dumps(line), flush=True)
    return measured


def measure_cold_start(checkpoint: str, folder: Path, repeats: int = 3) -> dict[str, float]:
    """Time `leccr search` from its start, and importing torch and transformers and loading the weights."""
    load = (
        "import torch, transformers\n"
        "from modeling_leccr import LeccrModel\n"
        f"LeccrModel.from_pretrained({checkpoint!r})\n"
    )
    leccr = str(Path(sys.executable).with_name("leccr"))
    commands = {
        "bare_load_seconds": [sys.executable, "-c", load],
        "search_seconds": [leccr, "search", str(folder), "Ein Hund rennt am Strand", "--model", checkpoint],
    }
    walls: dict[str, list[float]] = {name: [] for name in commands}
    processors: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(repeats):
        for name, command in commands.items():
            began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(command, check=True, capture_output=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            walls[name].append(time.perf_counter() - began)
            processors[name].append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    best = {name: round(min(values), 2) for name, values in walls.items()}
    busy = {name.replace("seconds", "cpu_seconds"): round(min(values), 2) for name, values in processors.items()}
    return best | busy | {"ratio": round(best["search_seconds"] / best["bare_load_seconds"], 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--scratch", type=Path, default=HERE / "cache" / "gallery-model")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "gallery_model.json")
    given = parser.parse_args()
    encoder = Encoder.load(given.checkpoint)
    built = given.scratch / "built"
    began = time.perf_counter()
    Gallery.build(given.data, encoder, built, split=given.split).close()
    results: dict[str, Any] = {"checkpoint": given.checkpoint, "index_seconds": round(time.perf_counter() - began, 1)}
    results |= measure_cold_start(given.checkpoint, built)
    results["query"] = measure_query(encoder, given.scratch)
    results["query_bert_base"] = measure_query(with_tower(encoder, "BERT-base"), given.scratch)
    print(json.dumps(results), flush=True)
    results["answers"] = measure_answers(built, encoder, given.data, given.split, given.scratch)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
