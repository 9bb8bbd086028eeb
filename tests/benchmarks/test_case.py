from datasets import Dataset

from benchmarks.case import WAYS, table, typed
from tests.tiny_data import dataset, row


def test_captions_change_and_the_rest_stays() -> None:
    rows: Dataset = dataset([row("a", captions=1)])
    [capitals] = typed(rows, WAYS["capitals"])
    assert capitals["source_captions"] == ["EN A 0"]
    assert [target["text"] for target in capitals["target_captions"]] == ["DE A 0", "ZH A 0"]
    assert capitals["description"] == rows[0]["description"]


def test_full_width_and_decomposed_letters() -> None:
    assert WAYS["full-width letters"]("A dog.") == "Ａ ｄｏｇ．"
    assert WAYS["decomposed letters"]("ř") == "r\u030c"


def test_the_table() -> None:
    found = {"as written": {"en": 50.0, "de": 40.0}, "capitals": {"en": 49.96, "de": 0.0}}
    expected = ["| --- | ---: | ---: |", "| as written | 50.0 | 40.0 |", "| capitals | 50.0 | 0.0 |"]
    assert table(found).splitlines()[1:] == expected
