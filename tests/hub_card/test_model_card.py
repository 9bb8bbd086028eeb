import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import ModelCard
from PIL import Image
from transformers import CLIPImageProcessorPil

from hub_card.method import method_name
from hub_card.model_card import ModelFacts, model_card
from modeling_leccr import LeccrModel
from processing import LeccrProcessor
from processing.tokenizers import train_tokenizer
from tests.modeling_leccr.tiny import PICTURE_SIZE, tiny_cross_lingual, tiny_model

from .figures import CONFIG, TEXT_ONLY, result, sentence_result, training

FACTS = ModelFacts(
    name="org/leccr-multi30k",
    config=CONFIG,
    processor={"text_max_length": 64},
    training=training(),
    results=[result("de"), result("fr")],
    license="apache-2.0",
    dataset="org/multi30k",
    data={"title": "Multi30K", "languages": ["en", "de"], "published": "example.org", "rows": {"train": 29000}},
    base_models=["openai/clip-vit-base-patch32"],
)
SECTIONS = [
    "Languages",
    "How to use it",
    "How it works",
    "Training data and licence",
    "Results",
    "Limits and bias",
    "Cost",
    "Citation",
]


def changed(**fields: Any) -> str:
    return model_card(dataclasses.replace(FACTS, **fields))


def test_the_front_matter_is_what_the_hub_reads() -> None:
    data = ModelCard(model_card(FACTS)).data
    assert data.library_name == "transformers"
    assert data.pipeline_tag == "feature-extraction"
    assert data.language == ["en", "de", "fr"]
    assert data.license == "apache-2.0"
    assert data.datasets == ["org/multi30k"]
    assert data.base_model == ["openai/clip-vit-base-patch32"]
    assert {"leccr", "cross-lingual", "arxiv:2409.19961", "arxiv:2312.08984"} <= set(data.tags)
    assert data.model_name == "leccr-multi30k"
    assert [entry.metric_value for entry in data.eval_results][:1] == [20.12]


def test_the_same_facts_give_the_same_card() -> None:
    assert model_card(FACTS) == changed()


def test_it_has_every_section_and_both_papers() -> None:
    text = model_card(FACTS)
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == SECTIONS
    for part in (
        "2409.19961",
        "2312.08984",
        "was trained with the recipe `leccr` of leccr,",
        "[Multi30K](https://huggingface.co/datasets/org/multi30k) (rows: 29,000 train)",
        "how to cite them: example.org.",
        "Licence of the weights: `apache-2.0`",
        "Training took 11 min 29 s for 1,234 steps",
        "### multi30k, split `test`",
        "### Validation split of the training data",
        "German (`de`)",
    ):
        assert part in text
    method = text.split("## How it works\n\n")[1].split("\n<!--")[0]
    assert len(method.split("\n\n")) == 2


def test_addresses_are_links() -> None:
    data = {"title": "A", "published": "github.com/a/b and zenodo.org/record/7"}
    assert "[github.com/a/b](https://github.com/a/b) and [zenodo.org/record/7](https://zen" in changed(data=data)


def test_descriptions_that_people_wrote_are_not_passed_off_as_a_language_models() -> None:
    data = {"title": "A", "prepared": "`leccr prepare flickr8k-cn` with reserved_captions = 3 4"}
    text = changed(data=data)
    assert "Training data: [A](https://huggingface.co/datasets/org/multi30k), prepared by `leccr prepare" in text
    assert text.count("which people wrote") == text.count("Descriptions are captions that people wrote") == 1
    assert "people wrote" not in changed(data={"title": "A", "prepared": "`leccr prepare vatex`"})
    assert "people wrote" not in changed(data=data, config={**CONFIG, "num_slots": 0})


def test_validation_figures_stand_there_once() -> None:
    measured = result("de", split="validation", title="Multi30K")
    text = changed(results=[measured])
    assert "### Multi30K, split `validation`, with descriptions" in text
    assert "### Validation split of the training data" not in text
    assert "was selected by its figures on the validation split (best validation SumR, averaged" in text
    on_test = result("de", title="Multi30K")
    assert "### Validation split of the training data" in changed(results=[on_test])


def test_what_is_not_known_is_said_and_not_invented() -> None:
    text = model_card(ModelFacts("org/x", CONFIG))
    for part in ("does not tell which languages", "does not record what it was trained on", "No figures are recorded"):
        assert part in text
    assert "No licence has been chosen" in text
    assert "was trained with" not in text
    assert "## Cost" not in text
    assert set(ModelCard(text).data.to_dict()) == {"library_name", "pipeline_tag", "tags"}


@pytest.mark.parametrize(
    ("fields", "name", "says"),
    [
        ({}, "leccr", "*semantic slots*"),
        ({"transfer_weight": 1.0}, "leccr-cl2cm", "same similarities between captions and pictures"),
        ({"num_slots": 0}, "dual-encoder", "takes no descriptions"),
        ({"num_slots": 0, "transfer_weight": 1.0}, "cl2cm", "sentence pairs alone"),
        ({"num_slots": 0, "description_fusion": True}, "late-fusion", "late fusion"),
    ],
)
def test_each_method_is_described(fields: dict[str, Any], name: str, says: str) -> None:
    config = {**CONFIG, **fields}
    assert method_name(config) == name
    assert says in changed(config=config)
    assert ("descriptions=[...]" in changed(config=config)) == (name not in ("dual-encoder", "cl2cm"))


def test_a_text_only_model() -> None:
    text = changed(config=TEXT_ONLY, results=[sentence_result()])
    assert ModelCard(text).data.pipeline_tag == "sentence-similarity"
    assert "get_image_views" not in text
    assert "It has never seen a picture." in text


def test_a_bad_name_of_a_data_set() -> None:
    with pytest.raises(ValueError, match="multi 30k"):
        changed(dataset="multi 30k")


def run_example(card: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run all code of a card where its files are."""
    blocks = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    monkeypatch.chdir(folder)
    for name in ("beach", "street"):
        for suffix in ("", "-0", "-1", "-2", "-3"):
            Image.new("RGB", (40, 50), "blue" if name == "beach" else "red").save(f"{name}{suffix}.jpg")
    torch.save(torch.randn(2, 5, 20, generator=torch.Generator().manual_seed(0)), "features.pt")
    # The card names a folder here, which it does not on the Hub.
    for code in blocks:
        exec(compile(code, "card", "exec"), {})


@pytest.mark.parametrize("kind", ["images", "videos", "features", "texts"])
def test_the_code_in_the_card_runs(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tokenizer = train_tokenizer(["Ein Hund läuft am Strand.", "A dog runs along the beach."], vocabulary_size=100)
    size = {"height": PICTURE_SIZE, "width": PICTURE_SIZE}
    images = CLIPImageProcessorPil(size={"shortest_edge": PICTURE_SIZE}, crop_size=size)
    frames = {"num_frames": 4} if kind == "videos" else {}
    vision = None if kind == "features" else "clip"
    summary = {"vision_summary": "mean"} if kind == "videos" else {}
    processor: Any = tokenizer if kind == "texts" else LeccrProcessor(images, tokenizer, **frames)
    model = (
        tiny_cross_lingual(vocabulary=len(tokenizer))
        if kind == "texts"
        else tiny_model(vision, vocabulary=len(tokenizer), **summary)
    )
    model.save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    card = model_card(ModelFacts("model", model.config.to_dict(), processor=frames, data={"languages": ["en", "de"]}))
    run_example(card, tmp_path, monkeypatch)
    order, *similarities = re.findall(r"\[[^\]]*\]", capsys.readouterr().out)
    if isinstance(model, LeccrModel):
        assert sorted(eval(order)) == [0, 1]
    else:
        similarities = [order, *similarities]
    # Of sentence-transformers, one query and two pictures, or of both libraries, two texts and two texts.
    assert len(similarities) == {"images": 1, "texts": 4}.get(kind, 0)
    assert ("SentenceTransformer(" in card) == (kind in ("images", "texts"))
