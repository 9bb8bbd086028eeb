"""What words add to vectors on Flickr8k-CN, and that they cost nothing where nothing is said.

    leccr prepare flickr8k-cn --root ../shared/data/flickr8k-cn --reserved-captions 3,4 --out data
    leccr train leccr-sentences --towers benchmarks/cache/towers/towers.yaml --data data --out retriever
    python -m benchmarks.words --data data --checkpoint retriever

Reserved captions are descriptions that are none of the queries. Three galleries of the same
validation photos differ in what is said about them: the description, in English; one of the Chinese captions of each
photo, which is then no query; and nothing. The first captions that are left, English and Chinese, are the queries. The
script writes `results/words.json` and prints its tables; times are ratios of searches with and without words.
"""

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset

from hub_card.tables import markdown_table
from leccr.data.loading import load_data
from leccr.gallery import Gallery
from leccr.models.encoder import Encoder
from processing.captions import captions_by_language
from processing.storage import write_rows

RESULTS = Path(__file__).parent / "results" / "words.json"
WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.5)
CUTOFFS = (1, 5, 10)


def galleries(rows: Dataset, language: str) -> dict[str, tuple[Dataset, dict[str, list[str]]]]:
    """Return rows by what is said about them, each with its queries by language, one per row.

    Args:
        rows: Rows with descriptions.
        language: The language other than English in which one caption becomes a description.
    """
    captions = [captions_by_language(row) for row in rows.remove_columns(["image", "video"])]
    first = {code: [own[code][0] for own in captions] for code in ("en", language)}
    # The last caption, so that the same ones are the queries in all galleries.
    said = [own[language][-1] if len(own[language]) > 1 else "" for own in captions]
    return {
        "English": (rows, first),
        language: (_described(rows, said), first),
        "nothing": (_described(rows, [""] * len(rows)), first),
    }


def _described(rows: Dataset, said: Sequence[str]) -> Dataset:
    texts = [text or None for text in said]
    return rows.remove_columns("description").add_column("description", texts, feature=rows.features["description"])


def build(rows: Dataset, encoder: Encoder, folder: Path) -> Gallery:
    """Return a gallery of rows; features next to the data are not used."""
    write_rows(folder / "data", "validation", list(rows), embed_images=False)
    return Gallery.build(folder / "data", encoder, folder / "gallery")


def measure(gallery: Gallery, names: Sequence[str], queries: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """Return hit rates and mean reciprocal ranks, in percent, by language and weight of words.

    Args:
        gallery: The gallery.
        names: The right answer to each query.
        queries: By language.

    Returns:
        Also in how many of the queries, in percent, words changed the first ten answers.
    """
    found = []
    for language, texts in queries.items():
        plain: list[list[str]] = []
        spoken = 0
        for weight in WEIGHTS:
            answers = gallery.search(texts, max(CUTOFFS), words=weight)
            ids = [[result.id for result in results] for results in answers]
            if weight == 0:
                plain = ids
            else:
                spoken = sum(own != other for own, other in zip(ids, plain))
            ranks = np.array([own.index(name) + 1 if name in own else np.inf for name, own in zip(names, ids)])
            hits = {f"hit_rate_{k}": 100 * float((ranks <= k).mean()) for k in CUTOFFS}
            reciprocal = 100 * float((1 / ranks).mean())
            changed = 100 * spoken / len(texts)
            found.append({"language": language, "weight": weight, **hits, "mrr": reciprocal, "changed": changed})
    return found


def time_ratio(gallery: Gallery, texts: Sequence[str], weight: float, rounds: int = 5) -> float:
    """Return how many times as long as by vectors searches by both take, the queries being embedded before."""
    from leccr.gallery.options import SearchOptions
    from leccr.gallery.query_words import words_of_query
    from leccr.gallery.retrieval import Queries, retrieve

    embeds = gallery.encoder.texts(texts, progress=False)
    asked = [(text, 0.0) for text in texts]
    ratios = []
    for _ in range(rounds):
        seconds = []
        for own in (0.0, weight):
            start = time.perf_counter()
            for number in range(len(texts)):
                # As a search with a text does, but for its embedding.
                words = [words_of_query(texts[number])]
                queries = Queries(embeds[[number]], [asked[number]], False, words)
                with gallery.catalogue.reading() as connection:
                    snapshot = gallery.snapshot(connection)
                    retrieve(connection, snapshot, queries, 10, SearchOptions(words=own), lambda: gallery.encoder)
            seconds.append(time.perf_counter() - start)
        ratios.append(seconds[1] / seconds[0])
    return float(np.median(ratios))


def table(results: Sequence[dict[str, Any]]) -> str:
    """Return the results as a Markdown table."""
    rows = [
        {
            "said": result["said"],
            "queries": result["language"],
            "weight": f"{result['weight']:g}",
            "hit rate at 1 / 5 / 10": " / ".join(f"{result[f'hit_rate_{k}']:.1f}" for k in CUTOFFS),
            "MRR at 10": f"{result['mrr']:.1f}",
            "answers changed": f"{result['changed']:.0f} %",
        }
        for result in results
    ]
    return markdown_table(rows, 3)


def main() -> None:
    """Measure, write the results and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="Flickr8k-CN, prepared with --reserved-captions 3,4.")
    parser.add_argument("--checkpoint", required=True, help="Model that was trained on them.")
    parser.add_argument("--split", default="validation")
    parser.add_argument("--limit", type=int, default=1000, help="Photos.")
    parser.add_argument("--queries", type=int, default=500, help="Queries of each language.")
    parser.add_argument("--language", default="zh")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    encoder = Encoder.load(arguments.checkpoint, device=arguments.device)
    splits, _ = load_data(str(arguments.data))
    rows = splits[arguments.split]
    rows = rows.select(range(min(arguments.limit, len(rows))))
    results: list[dict[str, Any]] = []
    ratios: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, (said, (own, queries)) in enumerate(galleries(rows, arguments.language).items()):
            with build(own, encoder, Path(folder, str(number))) as gallery:
                asked = {code: texts[: arguments.queries] for code, texts in queries.items()}
                results += [{"said": said, **row} for row in measure(gallery, own["id"], asked)]
                ratios[said] = {code: time_ratio(gallery, texts[:100], 0.3) for code, texts in queries.items()}
    record = {
        "machine": f"{platform.machine()}, one thread, torch {torch.__version__}",
        "checkpoint": Path(arguments.checkpoint).name,
        "photos": len(rows),
        "time_with_words": ratios,
        "results": results,
    }
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    arguments.results.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(table(results))
    print("\nTimes of a search with words, by vectors alone = 1:")
    print(json.dumps(ratios, indent=1))


if __name__ == "__main__":
    main()
