from typing import Any

import pytest
import torch

from modeling_leccr.modeling_cross_lingual import PADDING_LANGUAGE
from processing import CaptionCollator, LeccrProcessor, RetrievalCollator
from processing.caption_collator import LANGUAGE_PADDING, tokenize
from processing.captions import evaluation_rows
from tests.tiny_data import dataset, processor, read, row, target

ROWS = [row(name, image=None) for name in "abcd"]


@pytest.fixture(scope="module")
def ours() -> LeccrProcessor:
    return processor(ROWS)


def taught(name: str, place: int, **fields: Any) -> dict[str, Any]:
    """Return a row whose embeddings tell row, side and number of their caption."""
    plain = row(name, image=None)
    embeddings = {
        f"{side}_embeddings": [[place, side == "target", number] for number in range(len(plain[f"{side}_captions"]))]
        for side in ("source", "target")
    }
    return {**plain, **embeddings, **fields}


class TestTokenize:
    def test_a_processors_rule(self, ours: LeccrProcessor) -> None:
        expected = ours(text=["en a 0", "zh"])
        found = tokenize(ours, ["en a 0", "zh"])
        assert {name: value.tolist() for name, value in found.items()} == {
            name: value.tolist() for name, value in expected.items()
        }

    def test_a_tokenizer_cuts_at_its_own_length(self, ours: LeccrProcessor) -> None:
        ours.tokenizer.model_max_length = 5
        found = tokenize(ours.tokenizer, ["en a 0 " * 9, "zh"])
        assert list(found) == ["input_ids", "attention_mask"]
        assert found["input_ids"].shape == (2, 5)
        assert found["attention_mask"].sum(dim=1).tolist() == [5, 3]
        ours.tokenizer.model_max_length = 512


class TestTraining:
    @pytest.mark.parametrize("alone", [False, True], ids=["processor", "tokenizer"])
    def test_pairs_and_no_pictures(self, ours: LeccrProcessor, alone: bool) -> None:
        collator = CaptionCollator(ours.tokenizer if alone else ours, languages=["zh"])
        batch = collator(ROWS)
        texts = [f"{side}_{kind}" for side in ("source", "target") for kind in ("input_ids", "attention_mask")]
        assert list(batch) == [*texts, "target_weights", "image_ids"]
        pairs = zip(read(ours, batch["source_input_ids"]), read(ours, batch["target_input_ids"]))
        assert all(target == source.replace("en", "zh") for source, target in pairs)

    def test_it_draws_what_the_collator_with_pictures_draws(self, ours: LeccrProcessor) -> None:
        rows = [row(name) for name in "abcd"]
        batches = []
        for kind in (CaptionCollator, RetrievalCollator):
            torch.manual_seed(3)
            batches.append(kind(ours)(rows))
        assert all(torch.equal(value, batches[1][name]) for name, value in batches[0].items())


class TestTeacherEmbeds:
    def test_they_are_those_of_the_drawn_captions(self, ours: LeccrProcessor) -> None:
        rows = [taught(name, place) for place, name in enumerate("abcd")]
        seen = set()
        for _ in range(20):
            batch = CaptionCollator(ours)(rows)
            captions = {side: read(ours, batch[f"{side}_input_ids"]) for side in ("source", "target")}
            for side, embeds in ((side, batch[f"{side}_teacher_embeds"]) for side in captions):
                assert embeds.dtype == torch.float32 and embeds.shape == (4, 3)
                for caption, (place, is_target, number) in zip(captions[side], embeds.long().tolist()):
                    texts = rows[place]["source_captions"]
                    if is_target:
                        texts = [target["text"] for target in rows[place]["target_captions"]]
                    assert (texts[number], bool(is_target)) == (caption, side == "target")
                    seen.add((side, number))
        assert seen == {("source", number) for number in range(3)} | {("target", number) for number in range(6)}

    def test_columns_of_a_data_set(self, ours: LeccrProcessor) -> None:
        rows = dataset([row(name, image=None) for name in "ab"])
        for side, count in (("source", 3), ("target", 6)):
            rows = rows.add_column(f"{side}_embeddings", [[[place, 1.0]] * count for place in (0.25, 0.75)])
        batch = CaptionCollator(ours)(list(rows))
        for side in ("source", "target"):
            assert batch[f"{side}_teacher_embeds"].tolist() == [[0.25, 1], [0.75, 1]]

    def test_half_precision_becomes_single(self, ours: LeccrProcessor) -> None:
        rows = [{**row("a"), "source_embeddings": torch.ones(3, 2).half(), "target_embeddings": torch.ones(6, 2)}]
        assert CaptionCollator(ours)(rows)["source_teacher_embeds"].dtype == torch.float32

    def test_rows_without_them(self, ours: LeccrProcessor) -> None:
        assert not [name for name in CaptionCollator(ours)(ROWS) if "teacher" in name]

    def test_rows_without_target_captions_have_those_of_sources(self, ours: LeccrProcessor) -> None:
        batch = CaptionCollator(ours, languages=[])([taught("a", 0)])
        assert [name for name in batch if "teacher" in name] == ["source_teacher_embeds"]

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"source_embeddings": None}, "Row 'b' has 0 embeddings for 3 source captions"),
            ({"target_embeddings": [[1, 2, 3]]}, "Row 'b' has 1 embeddings for 6 target captions"),
        ],
    )
    def test_a_row_that_lacks_some_is_named_with_the_command(
        self, ours: LeccrProcessor, fields: dict[str, Any], message: str
    ) -> None:
        command = "leccr embed-captions DATA --model TEACHER"
        with pytest.raises(ValueError, match=f"{message}; make them again: {command}"):
            CaptionCollator(ours)([taught("a", 0), taught("b", 1, **fields)])


def test_evaluation_rows_need_no_picture(ours: LeccrProcessor) -> None:
    rows = dataset([row("a", captions=1, image=None), row("b", captions=2, image=None)])
    batch = CaptionCollator(ours.tokenizer)(list(evaluation_rows(rows, ["en", "zh"])))
    assert list(batch) == ["caption_input_ids", "caption_attention_mask", "caption_languages"]
    assert batch["caption_languages"].tolist() == [[0, 1, LANGUAGE_PADDING, LANGUAGE_PADDING], [0, 0, 1, 1]]
    assert read(ours, batch["caption_input_ids"][1]) == ["en b 0", "en b 1", "zh b 0", "zh b 1"]


def test_the_model_knows_the_same_padding() -> None:
    """Remote code can import nothing of ours, so the number is written twice."""
    assert LANGUAGE_PADDING == PADDING_LANGUAGE


class TestLowerCase:
    def test_a_share_of_the_drawn_captions_is_in_lower_case(self, ours: LeccrProcessor) -> None:
        seen: list[str] = []

        def spy(texts: list[str], **_: Any) -> dict[str, torch.Tensor]:
            seen.extend(texts)
            return {"input_ids": torch.zeros(len(texts), 1)}

        rows = [
            row(str(n), source_captions=["En"], target_captions=[target("de", "Ein")], image=None) for n in range(200)
        ]
        torch.manual_seed(0)
        CaptionCollator(spy, lower_case=0.3)(rows)
        assert [text.lower() for text in seen] == ["en"] * 200 + ["ein"] * 200
        assert 40 < seen.count("en") < 80 and 40 < seen.count("ein") < 80

    def test_evaluation_is_as_written(self, ours: LeccrProcessor) -> None:
        [found] = evaluation_rows(dataset([row("a", captions=1, source_captions=["En"])]), ["en"])
        batch = CaptionCollator(ours, lower_case=1.0)([found])
        assert torch.equal(batch["caption_input_ids"][0], ours(text=["En"])["input_ids"])


def test_half_of_a_surrogate_pair_is_no_reason_to_fail(ours: LeccrProcessor) -> None:
    assert torch.equal(tokenize(ours.tokenizer, ["\ud83d"])["input_ids"], tokenize(ours, ["\ud83d"])["input_ids"])
