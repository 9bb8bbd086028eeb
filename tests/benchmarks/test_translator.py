import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import translator
from leccr.data.options import TranslateOptions
from leccr.data.translate import run_translation
from processing.generation.translators import LocalTranslator
from processing.storage import read_splits, write_rows

WORDS = {"dog": "Hund", "man": "Mann", "red": "rot", "big": "groß", "runs": "rennt", "sits": "sitzt"}
PAIRS = [
    (f"The {noun} {verb} and is {kind} .", f"Der {WORDS[noun]} {WORDS[verb]} und ist {WORDS[kind]} .")
    for noun in ("dog", "man")
    for verb in ("runs", "sits")
    for kind in ("red", "big")
]


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """Multi30K's task 1 in its published layout: eight pairs to validate with, and the same many times to train on."""
    data = tmp_path / "shared" / "data" / "multi30k" / "data" / "task1"
    (data / "raw").mkdir(parents=True)
    (data / "image_splits").mkdir()
    for split, pairs in (("train", 40 * PAIRS), ("val", PAIRS)):
        names = "\n".join(f"{split}{number}.jpg" for number in range(len(pairs)))
        (data / "image_splits" / f"{split}.txt").write_text(names)
        for index, language in enumerate(("en", "de")):
            text = "\n".join(pair[index] for pair in pairs)
            (data / "raw" / f"{split}.{language}.gz").write_bytes(gzip.compress(text.encode()))
    return tmp_path / "shared"


def test_the_saved_translator_is_what_leccr_translate_needs(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "translator.json"
    build, train = translator.build_translator, translator.train_translator

    def train_hard(*given: Any) -> None:
        train(*given, batch_size=16, learning_rate=3e-3)

    monkeypatch.setattr(translator, "RESULTS", results)
    monkeypatch.setattr(translator, "build_translator", lambda *given: build(*given, width=64, layers=1, vocabulary=60))
    monkeypatch.setattr(translator, "train_translator", train_hard)
    given = ["--shared", str(shared), "--cache", str(tmp_path), "--epochs", "10"]
    translator.main(given)
    folder = tmp_path / "translator-en-de"
    assert json.loads(results.read_text())["translator-en-de"]["validation"]["bleu"] > 95
    assert not (folder / "checkpoints").exists()
    with pytest.raises(ValueError, match="translates into de, not fr"):
        LocalTranslator(str(folder), device="cpu", batch_size=1, beams=1).check("en", "fr")

    data = tmp_path / "data"
    row = {"id": "p", "source_language": "en", "source_captions": [PAIRS[0][0], PAIRS[5][0]], "target_captions": []}
    write_rows(data, "train", [row])
    run_translation(str(data), TranslateOptions(targets=["de"], model=str(folder), device="cpu", batch_size=1, beams=1))
    captions = read_splits(data)["train"][0]["target_captions"]
    assert [(caption["text"], caption["source_number"]) for caption in captions] == [(PAIRS[0][1], 0), (PAIRS[5][1], 1)]
    assert {caption["origin"] for caption in captions} == {"machine:translator-en-de"}

    translator.main(given)
    assert "exists already" in capsys.readouterr().out


def test_a_stopped_training_goes_on(tmp_path: Path) -> None:
    def train(name: str, epochs: int) -> Any:
        translator.torch.manual_seed(0)
        model, tokenizer = translator.build_translator(tmp_path / name, PAIRS, "de", width=16, layers=1, vocabulary=60)
        before = model.get_encoder().layers[0].fc1.weight.detach().clone()
        translator.train_translator(model, tokenizer, PAIRS, tmp_path / "checkpoints", epochs, seed=0, batch_size=4)
        return before, model.get_encoder().layers[0].fc1.weight.detach()

    first, second = train("first", 2)
    assert not second.equal(first)
    # All epochs are done: the weights are those of the checkpoint, and not those of the new model.
    _, again = train("second", 2)
    assert again.equal(second)
