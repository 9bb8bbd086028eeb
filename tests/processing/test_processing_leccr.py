import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoTokenizer, CLIPImageProcessorPil

from processing import LeccrProcessor
from tests.tiny_data import picture, processor, read, row

ENGLISH = "A red Dog runs in front of an old house"
CHINESE = "一只红色的狗在旧房子前面奔跑"


@pytest.fixture(scope="module")
def ours() -> LeccrProcessor:
    rows = [row("a", source_captions=[ENGLISH, "Ein Hund läuft"], description=CHINESE)]
    return processor(rows, text_max_length=10, description_max_length=14)


def test_everything_at_once(ours: LeccrProcessor) -> None:
    batch = ours(images=[picture(), picture("blue", (50, 40))], text=["A red Dog", CHINESE], descriptions=["old", "A"])
    assert list(batch) == [
        "pixel_values",
        "input_ids",
        "attention_mask",
        "description_input_ids",
        "description_attention_mask",
    ]
    assert batch["pixel_values"].shape == (2, 3, 32, 32)
    assert batch["attention_mask"].shape == batch["input_ids"].shape == (2, 10)
    assert set(batch) | {"visual_attention_mask"} == set(ours.model_input_names)


@pytest.mark.parametrize(
    ("inputs", "names"),
    [
        ({"images": picture()}, ["pixel_values"]),
        ({"text": "A red Dog"}, ["input_ids", "attention_mask"]),
        ({"descriptions": "A red Dog"}, ["description_input_ids", "description_attention_mask"]),
    ],
)
def test_one_thing_alone_is_a_batch_of_one(ours: LeccrProcessor, inputs: dict[str, Any], names: list[str]) -> None:
    batch = ours(**inputs)
    assert list(batch) == names
    assert all(len(value) == 1 for value in batch.values())


@pytest.fixture(scope="module")
def splitting(ours: LeccrProcessor) -> LeccrProcessor:
    return LeccrProcessor(ours.image_processor, ours.tokenizer, 10, 14, sentence_slots=True)


class TestSentences:
    def test_lines_and_lists_become_rows_and_the_rest_is_masked(self, splitting: LeccrProcessor) -> None:
        said = ["A red Dog\n \nold house", None, [CHINESE, "old"], "", ["Dog", " ", "A old", "in"]]
        batch = splitting(descriptions=said)
        ids, mask = batch["description_input_ids"], batch["description_attention_mask"]
        assert ids.shape == mask.shape == (5, 3, 14)
        assert mask.any(-1).tolist() == [[1, 1, 0], [0, 0, 0], [1, 1, 0], [0, 0, 0], [1, 1, 1]]
        plain = read(splitting, [row for rows, own in zip(ids, mask) for row in rows[own.any(-1)]])
        assert plain[:2] == ["A red Dog", "old house"]
        assert plain[-3:] == ["Dog", "A old", "in"]
        lists = splitting(descriptions=said, return_tensors=None)
        assert lists["description_input_ids"] == ids.tolist()
        assert lists["description_attention_mask"] == mask.tolist()
        arrays = splitting(descriptions=said, return_tensors="np")
        assert np.array_equal(arrays["description_attention_mask"], mask.numpy())

    def test_without_any_description_there_is_one_masked_sentence(self, splitting: LeccrProcessor) -> None:
        mask = splitting(descriptions=[None, ""])["description_attention_mask"]
        assert mask.shape[:2] == (2, 1) and not mask.any()

    def test_it_is_saved(self, splitting: LeccrProcessor, tmp_path: Path) -> None:
        splitting.save_pretrained(tmp_path)
        assert LeccrProcessor.from_pretrained(tmp_path).sentence_slots

    def test_other_processors_join_a_list(self, ours: LeccrProcessor) -> None:
        joined = ours(descriptions=[["A red", "Dog"], None])
        assert torch.equal(
            joined["description_input_ids"], ours(descriptions=["A red Dog", None])["description_input_ids"]
        )


def test_videos_are_padded_to_the_longest(ours: LeccrProcessor) -> None:
    clips = [[picture("red", (40, 30)), picture("blue", (40, 30))], [picture("green")]]
    batch = ours(videos=iter(clips), text=["A", "dog"], descriptions=["old", None])
    assert batch["pixel_values"].shape == (2, 2, 3, 32, 32)
    assert batch["visual_attention_mask"].tolist() == [[1, 1], [1, 0]]
    for place, clip in enumerate(clips):
        assert torch.equal(batch["pixel_values"][place, : len(clip)], ours(images=clip)["pixel_values"])
    assert not batch["pixel_values"][1, 1].any()
    assert len(batch["input_ids"]) == len(batch["description_input_ids"]) == 2


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_pictures_of_every_mode_have_three_channels(ours: LeccrProcessor, mode: str) -> None:
    assert ours(images=[Image.new(mode, (40, 30))])["pixel_values"].shape == (1, 3, 32, 32)


@pytest.mark.parametrize("text", [ENGLISH * 40, CHINESE * 40], ids=["english", "chinese"])
def test_long_texts_are_cut_by_tokens(ours: LeccrProcessor, text: str) -> None:
    batch = ours(text=text, descriptions=[text])
    assert batch["input_ids"].shape == (1, 10)
    assert batch["description_input_ids"].shape == (1, 14)
    # The closing token stays.
    assert batch["input_ids"][0, -1] == batch["description_input_ids"][0, -1] == ours.tokenizer.sep_token_id
    assert batch["attention_mask"].all()


def test_texts_are_padded_to_the_longest_of_their_batch(ours: LeccrProcessor) -> None:
    batch = ours(text=["A", "A red Dog"])
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    assert batch["input_ids"][0, 3:].tolist() == [ours.tokenizer.pad_token_id] * 2


def test_case_and_accents_stay(ours: LeccrProcessor) -> None:
    assert read(ours, ours(text=[ENGLISH, "Ein Hund läuft"])["input_ids"])[1] == "Ein Hund läuft"
    assert ours(text="Dog")["input_ids"].tolist() != ours(text="dog")["input_ids"].tolist()


def test_case_stays_with_the_multilingual_tokenizer(shared_dir: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(shared_dir / "tokenizers" / "bert-base-multilingual-cased")
    multilingual = LeccrProcessor(CLIPImageProcessorPil(), tokenizer)
    batch = multilingual(text=["Ein Hund läuft in München"])
    assert list(batch) == ["input_ids", "attention_mask"]
    assert read(multilingual, batch["input_ids"]) == ["Ein Hund läuft in München"]


@pytest.mark.parametrize("missing", [None, "", " \n"])
@pytest.mark.parametrize("kind", ["pt", "np", None])
def test_a_missing_description_has_a_mask_of_zeros(ours: LeccrProcessor, missing: str | None, kind: str | None) -> None:
    batch = ours(descriptions=["red", missing, "A red Dog"], return_tensors=kind)
    mask = np.asarray(batch["description_attention_mask"])
    assert mask.shape == np.asarray(batch["description_input_ids"]).shape
    assert mask.sum(axis=1).tolist() == [3, 0, 5]


def test_all_descriptions_missing(ours: LeccrProcessor) -> None:
    batch = ours(images=[picture()] * 2, descriptions=[None, None])
    assert not batch["description_attention_mask"].any()
    assert batch["description_attention_mask"].shape[0] == 2


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "nothing was given"),
        ({"text": ""}, "Text 0 is empty"),
        ({"text": ["A", " \t"]}, "Text 1 is empty"),
        ({"text": ["A", None]}, "Text 1 is empty"),
        ({"images": [picture()] * 2, "descriptions": ["A"]}, "1 descriptions for 2 images"),
        ({"images": picture(), "descriptions": ["A", None]}, "2 descriptions for 1 images"),
        ({"videos": [[picture()]], "descriptions": ["A", None]}, "2 descriptions for 1 images or videos"),
        ({"images": picture(), "videos": [[picture()]]}, "a picture can be a video of one frame"),
        ({"videos": [[picture()], []]}, "Video 1 has no frame"),
    ],
)
def test_bad_input_is_refused(ours: LeccrProcessor, inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ours(**inputs)


def test_a_saved_processor_works_by_the_same_rule(ours: LeccrProcessor, tmp_path: Path) -> None:
    ours.save_pretrained(tmp_path)
    loaded = LeccrProcessor.from_pretrained(tmp_path)
    assert (loaded.text_max_length, loaded.description_max_length) == (10, 14)
    inputs: dict[str, Any] = {"images": picture("blue"), "text": CHINESE, "descriptions": [CHINESE * 5]}
    expected, actual = ours(**inputs), loaded(**inputs)
    assert list(actual) == list(expected)
    for name in expected:
        assert torch.equal(actual[name], expected[name]), name


@pytest.mark.skipif(importlib.util.find_spec("torchvision") is not None, reason="torchvision is installed")
def test_without_torchvision_pictures_go_through_pillow(ours: LeccrProcessor, tmp_path: Path) -> None:
    ours.save_pretrained(tmp_path)
    assert isinstance(LeccrProcessor.from_pretrained(tmp_path).image_processor, CLIPImageProcessorPil)
