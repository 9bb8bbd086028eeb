from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset

from benchmarks.study.data import TEXT, Library, half_described, with_agreement_weights, with_descriptions, with_targets
from benchmarks.study.report import bootstrap, image_shares
from benchmarks.study.rows import ROWS
from benchmarks.study.run import run_name
from leccr.evaluation.metrics import retrieval_metrics
from leccr.evaluation.ranks import retrieval_ranks
from leccr.recipes import Recipe
from processing.schema import ROW_FEATURES
from processing.storage import write_rows
from tests.processing.readers.layout import write
from tests.tiny_data import row


def rows(count: int) -> Dataset:
    return Dataset.from_list([row(f"row-{number}") for number in range(count)], features=ROW_FEATURES)


def test_rows_have_names_and_files_of_their_own() -> None:
    assert len({run_name(row, 0) for row in ROWS}) == len({(row.block, row.name) for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("study_row", [row for row in ROWS if not row.warm_start], ids=lambda row: run_name(row, 0))
def test_every_row_is_a_recipe(study_row: object) -> None:
    assert study_row.recipe().training["bf16"]  # type: ignore[attr-defined]


def test_images_shares_add_up_to_the_sum_of_hit_rates(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    views = torch.randn(30, 2, 8, generator=generator)
    owners = torch.arange(30).repeat_interleave(torch.tensor([1, 2, 3] * 10))
    found = retrieval_ranks(views[owners, 0] + torch.randn(60, 8, generator=generator), views, owners)
    ranks = {"text_to_image": found.text_to_image, "image_to_text": found.image_to_text, "owners": owners}
    np.savez(tmp_path / "ranks.npz", **{f"zh/{name}": value.numpy() for name, value in ranks.items()})
    shares = image_shares(tmp_path / "ranks.npz", "zh")
    assert shares.mean() == pytest.approx(retrieval_metrics(found)["sum_of_hit_rates"])


def test_the_bootstrap_interval_of_a_mean_is_that_of_theory() -> None:
    differences = np.random.default_rng(1).normal(3.0, 10.0, 1000)
    mean, low, high = bootstrap(differences)
    deviation = differences.std() / 1000**0.5
    assert mean == pytest.approx(differences.mean())
    assert low == pytest.approx(mean - 1.96 * deviation, abs=0.1)
    assert high == pytest.approx(mean + 1.96 * deviation, abs=0.1)
    assert bootstrap(np.full(10, 2.0)) == (2.0, 2.0, 2.0)


def test_half_of_the_descriptions_are_taken_away() -> None:
    described = with_descriptions(rows(10), {f"row-{number}": f"Text {number}." for number in range(10)})
    half = half_described(described)
    kept = [text for text in half["description"] if text]
    assert len(kept) == 5 and list(half["id"]) == list(described["id"])
    assert half["description"] == half_described(described)["description"]


def test_rows_without_the_language_are_left_out() -> None:
    three = rows(3)
    other = row("row-3") | {"target_captions": [{**row("x")["target_captions"][0], "language": "ja"}]}
    joined = Dataset.from_list([*three, other], features=ROW_FEATURES)
    assert with_targets(joined, ["ja"])["id"][:] == ["row-3"]
    assert with_targets(joined, ["ja", "zh"])["id"][:] == joined["id"][:]


def test_translations_are_weighed_by_their_agreement() -> None:
    target = {"language": "zh", "origin": "machine:x", "weight": None}
    texts = [("一只狗在跑。", 0), ("一只狗在跑。", 0), ("两只猫。", 1), ("汽车", 1), ("天空", 2)]
    one = row("row-0") | {"target_captions": [{**target, "text": text, "source_number": n} for text, n in texts]}
    weighed = with_agreement_weights(Dataset.from_list([one], features=ROW_FEATURES))[0]["target_captions"]
    assert [item["weight"] for item in weighed[:2]] == [1.0, 1.0]
    assert weighed[2]["weight"] < 0.2 and weighed[3]["weight"] < 0.2
    assert weighed[4]["weight"] is None


def test_all_text_leaves_out_photos_that_multi30k_keeps_back(tmp_path: Path) -> None:
    names = {"train": ["1000092795"], "val": ["1018148011"], "test_2016_flickr": ["1007129816"]}
    files = {f"image_splits/{split}.txt": f"{ids[0]}.jpg\n" for split, ids in names.items()}
    files |= {f"raw/{split}.{code}.gz": f"{code} {split}\n" for split in names for code in ("en", "de", "fr", "cs")}
    write(tmp_path / "shared" / "data" / "multi30k" / "data" / "task1", files)
    flickr = [row(f"{name}_aaaaaaaaaa") for name in ("1018148011", "1007129816", "2000000000")]
    library = Library(tmp_path / "shared", tmp_path / "cache", Recipe("text"))
    prepared = tmp_path / "cache" / "study" / "data" / "all-captions"
    write_rows(prepared, "train", flickr, embed_images=False)
    write_rows(prepared, "validation", [row("3000000000_aaaaaaaaaa")], embed_images=False)
    splits = library.open(TEXT).splits
    assert splits["train"]["id"][:] == ["1000092795", "2000000000_aaaaaaaaaa"]
    assert splits["train"][0]["source_captions"] == ["en train"]
    assert splits["validation"]["id"][:] == ["1018148011", "3000000000_aaaaaaaaaa"]
    assert splits["multi30k"]["id"][:] == ["1018148011"]
    assert [target["text"] for target in splits["validation"][0]["target_captions"]] == ["cs val", "de val", "fr val"]
