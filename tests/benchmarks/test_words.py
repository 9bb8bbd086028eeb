from pathlib import Path

from datasets import Dataset

from benchmarks.words import WEIGHTS, build, galleries, measure, table, time_ratio
from tests.leccr.gallery import tiny_gallery
from tests.tiny_data import dataset, row


def test_words_add_where_something_is_said_and_nothing_elsewhere(tmp_path: Path) -> None:
    names = tiny_gallery.NAMES[:6]
    images = [tiny_gallery.paint(tmp_path / f"{number}.png", number) for number in range(len(names))]
    rows: Dataset = dataset(
        [
            row(str(number), image=str(image), captions=2, description=f"{name} thing en {number} 0")
            for number, (name, image) in enumerate(zip(names, images))
        ]
    )
    encoder, results, changed = tiny_gallery.encoder(), [], {}
    for said, (own, queries) in galleries(rows, "zh").items():
        assert [len(texts) for texts in queries.values()] == [6, 6]
        with build(own, encoder, tmp_path / said) as gallery:
            found = measure(gallery, own["id"], {"en": [f"the {name}" for name in names]})
            changed[said] = found[-1]["changed"]
            results += [{"said": said, **each} for each in found]
            if said == "nothing":
                assert time_ratio(gallery, ["a", "b"], 0.3, rounds=1) > 0
    assert changed["English"] > 0 and changed["nothing"] == 0
    english = [each for each in results if each["said"] == "English"]
    assert english[-1]["hit_rate_1"] >= english[0]["hit_rate_1"]
    assert len(table(results).splitlines()) == 2 + 3 * len(WEIGHTS)
