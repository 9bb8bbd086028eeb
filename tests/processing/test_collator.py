import copy
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from leccr.models.build import build_model
from processing import LeccrProcessor, RetrievalCollator
from processing.caption_collator import LANGUAGE_PADDING, stable_id
from processing.captions import evaluation_rows
from processing.collator import pad_features
from processing.errors import UserError
from processing.images import RandomCrop
from processing.video import open_frames
from tests.tiny_data import dataset, picture, processor, read, recipe, row, target
from tests.videos import write_video

ROWS = [row(name) for name in "abcd"]


@pytest.fixture(scope="module")
def ours() -> LeccrProcessor:
    return processor(ROWS)


def drawn(processor: LeccrProcessor, batch: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the pairs of source and target captions in a batch."""
    return list(zip(*(read(processor, batch[f"{side}_input_ids"]) for side in ("source", "target"))))


class TestTraining:
    def test_a_batch_has_each_image_once_with_all_that_the_model_takes(self, ours: LeccrProcessor) -> None:
        batch = RetrievalCollator(ours)(ROWS)
        texts = [f"{side}_{kind}" for side in ("source", "target") for kind in ("input_ids", "attention_mask")]
        descriptions = ["description_input_ids", "description_attention_mask"]
        assert list(batch) == ["pixel_values", *descriptions, *texts, "target_weights", "image_ids"]
        assert batch["pixel_values"].shape == (4, 3, 32, 32)
        assert all(len(value) == 4 for value in batch.values())
        assert read(ours, batch["description_input_ids"]) == [f"This is {name}" for name in "abcd"]
        assert batch["image_ids"].tolist() == [stable_id(name) for name in "abcd"]

    def test_the_target_is_the_translation_of_the_source(self, ours: LeccrProcessor) -> None:
        collator = RetrievalCollator(ours)
        seen = set()
        for _ in range(40):
            for index, (source, translation) in enumerate(drawn(ours, collator(ROWS))):
                language, name, number = translation.split()
                assert source == f"en {name} {number}"
                assert name == "abcd"[index]
                seen.add((language, number))
        assert seen == {(language, number) for language in ("de", "zh") for number in "012"}

    def test_languages_are_drawn_evenly_however_many_captions_they_have(self, ours: LeccrProcessor) -> None:
        many = row("a", ["de"])
        many["target_captions"] = many["target_captions"] * 5 + [target("zh", "zh a 0", 0)]
        torch.manual_seed(0)
        batch = RetrievalCollator(ours)([many] * 400)
        counts = Counter(translation.split()[0] for _, translation in drawn(ours, batch))
        assert 160 < counts["zh"] < 240

    def test_only_the_wanted_languages(self, ours: LeccrProcessor) -> None:
        batch = RetrievalCollator(ours, languages=["zh"])(ROWS * 10)
        assert {translation.split()[0] for _, translation in drawn(ours, batch)} == {"zh"}

    def test_weights(self, ours: LeccrProcessor) -> None:
        weighted = [row(str(weight), target_captions=[target("de", "de a 0", 0, weight)]) for weight in (None, 0.25, 0)]
        batch = RetrievalCollator(ours)(weighted)
        assert batch["target_weights"].dtype == torch.float32
        assert batch["target_weights"].tolist() == [1.0, 0.25, 0.0]

    def test_data_without_target_captions(self, ours: LeccrProcessor) -> None:
        batch = RetrievalCollator(ours)([row("a", languages=[]), row("b", target_captions=None)])
        assert "source_input_ids" in batch
        assert not [name for name in batch if name.startswith("target")]

    def test_a_row_without_target_captions_among_others_is_named(self, ours: LeccrProcessor) -> None:
        with pytest.raises(ValueError, match="Row 'b' has no target caption, but other rows do"):
            RetrievalCollator(ours)([row("a"), row("b", languages=[])])

    def test_equal_seeds_draw_equal_batches(self, ours: LeccrProcessor) -> None:
        collator = RetrievalCollator(ours)
        batches = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            batches.append(drawn(ours, collator(ROWS * 4)))
        assert batches[0] == batches[1] != batches[2]

    def test_some_descriptions_missing(self, ours: LeccrProcessor) -> None:
        batch = RetrievalCollator(ours)([row("a", description=None), row("b")])
        assert batch["description_attention_mask"].any(dim=1).tolist() == [False, True]

    def test_descriptions_are_split_where_sentences_are_slots(self, ours: LeccrProcessor) -> None:
        splitting = LeccrProcessor(ours.image_processor, ours.tokenizer, sentence_slots=True)
        rows = [row("a", description="This is a 1. This is a 2. This"), row("b", description=None)]
        mask = RetrievalCollator(splitting)(rows)["description_attention_mask"]
        assert mask.any(-1).tolist() == [[1, 1, 1], [0, 0, 0]]

    def test_all_descriptions_missing(self, ours: LeccrProcessor) -> None:
        batch = RetrievalCollator(ours)([row("a", description=None), row("b", description="")])
        assert not [name for name in batch if name.startswith("description")]


class TestPictures:
    def test_only_training_pictures_are_varied(self, ours: LeccrProcessor) -> None:
        collator = RetrievalCollator(ours, augment=lambda image: Image.new("RGB", image.size, "white"))
        white = ours(images=[picture("white")])["pixel_values"]
        plain = ours(images=[picture()])["pixel_values"]
        evaluated = evaluation_rows(dataset(ROWS[:1]), ["en"])
        assert torch.equal(collator(ROWS[:1])["pixel_values"], white)
        assert torch.equal(collator(list(evaluated))["pixel_values"], plain)
        assert torch.equal(collator.image_inputs(ROWS[:1])["pixel_values"], plain)

    def test_the_image_side_alone_can_leave_descriptions_out(self, ours: LeccrProcessor) -> None:
        collator = RetrievalCollator(ours)
        assert "description_input_ids" in collator.image_inputs(ROWS)
        assert list(collator.image_inputs(ROWS, descriptions=False)) == ["pixel_values"]

    def test_a_broken_picture_is_named(self, ours: LeccrProcessor, tmp_path: Path) -> None:
        path = tmp_path / "broken.jpg"
        path.write_text("not a picture")
        with pytest.raises(ValueError, match="broken.jpg cannot be decoded"):
            RetrievalCollator(ours)([row("a"), row("b", image={"path": str(path), "bytes": None})])

    def test_what_the_processor_refuses_is_told_with_the_rows(self, ours: LeccrProcessor) -> None:
        """It travels with checkpoints and raises ValueError; users of ours are told in a sentence."""
        keeping = copy.deepcopy(ours)
        keeping.image_processor.do_resize = False
        rows = [row("wide", image=Image.new("RGB", (40, 20))), row("high", image=Image.new("RGB", (20, 40)))]
        for one in (RetrievalCollator(keeping), RetrievalCollator(keeping, augment=lambda picture: picture)):
            with pytest.raises(UserError, match="pictures of different sizes.* These are the rows wide, high."):
                one(rows)

    def test_a_row_without_picture_is_named(self, ours: LeccrProcessor) -> None:
        with pytest.raises(ValueError, match="Row 'b' has no picture"):
            RetrievalCollator(ours)([row("a"), row("b", image=None)])

    def test_visual_features_stand_in_for_pictures(self, ours: LeccrProcessor) -> None:
        features = [torch.ones(2, 5, dtype=torch.float16), torch.full((3, 5), 2.0, dtype=torch.float16)]
        rows = [row(name, image=None, visual_features=item) for name, item in zip("ab", features)]
        batch = RetrievalCollator(ours)(rows)
        assert "pixel_values" not in batch
        assert batch["visual_features"].dtype == torch.float32
        assert batch["visual_features"].sum(dim=2).tolist() == [[5, 5, 0], [10, 10, 10]]
        assert batch["visual_attention_mask"].tolist() == [[1, 1, 0], [1, 1, 1]]

    def test_visual_features_may_be_plain_numbers(self) -> None:
        batch = pad_features([torch.as_tensor([[1, 2]]), torch.as_tensor([[3, 4], [5, 6]])])
        assert batch["visual_features"].tolist() == [[[1, 2], [0, 0]], [[3, 4], [5, 6]]]


class TestVideos:
    """A processor with a number of frames makes every row a video."""

    @pytest.fixture(scope="class")
    @staticmethod
    def clips() -> LeccrProcessor:
        return processor(ROWS, num_frames=4)

    @pytest.fixture(scope="class")
    @staticmethod
    def rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
        folder = tmp_path_factory.mktemp("videos")
        paths = [write_video(folder / "a.mp4"), write_video(folder / "b.mp4", ["red", "blue"])]
        return [row(name, image=None, video=str(path)) for name, path in zip("ab", paths)]

    def test_frames_and_their_mask(self, clips: LeccrProcessor, rows: list[dict[str, Any]]) -> None:
        batch = RetrievalCollator(clips)(rows)
        assert batch["pixel_values"].shape == (2, 4, 3, 32, 32)
        assert batch["visual_attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
        frames = [open_frames(rows[0]["video"], 4), open_frames(rows[1]["video"], 4)]
        assert torch.equal(batch["pixel_values"], clips(videos=frames)["pixel_values"])
        red = batch["pixel_values"].mean(dim=(3, 4)).argmax(dim=2) == 0
        assert red.tolist() == [[True, True, False, False], [True, False, True, True]]
        evaluated = list(evaluation_rows(dataset(rows), ["en"]))
        assert torch.equal(RetrievalCollator(clips)(evaluated)["pixel_values"], batch["pixel_values"])

    def test_a_picture_is_a_video_of_one_frame(self, clips: LeccrProcessor, rows: list[dict[str, Any]]) -> None:
        mixed = RetrievalCollator(clips)([rows[1], row("c")])
        assert mixed["visual_attention_mask"].tolist() == [[1, 1], [1, 0]]
        alone = RetrievalCollator(clips)([row("c")])
        assert torch.equal(alone["pixel_values"][0, 0], mixed["pixel_values"][1, 0])

    def test_padding_changes_no_embedding(self, clips: LeccrProcessor, rows: list[dict[str, Any]]) -> None:
        torch.manual_seed(0)
        fields: dict[str, Any] = {"vision_summary": "mean", "visual_layers": 1, "num_slots": 2}
        ours = recipe(model={**fields, "interaction_heads": 2, "slot_anchor": "text", "slot_layers": 1})
        model = build_model(ours, clips).eval()
        collator = RetrievalCollator(clips)
        batch = collator.image_inputs([*rows, row("c")])
        with torch.no_grad():
            together = model.get_image_views(**batch)
            alone = [model.get_image_views(**collator.image_inputs([item])) for item in [*rows, row("c")]]
            tokens = zip(model.get_visual_tokens(batch["pixel_values"]), batch["visual_attention_mask"])
            features = pad_features([frames[mask.bool()] for frames, mask in tokens])
            ahead = model.get_image_views(
                **{name: value for name, value in batch.items() if name != "pixel_values"} | features
            )
        torch.testing.assert_close(torch.cat(alone), together, atol=1e-6, rtol=0)
        torch.testing.assert_close(ahead, together, atol=1e-6, rtol=0)
        assert (together[0] - together[1]).abs().max() > 1e-3

    def test_all_frames_of_a_video_are_cut_alike(self, clips: LeccrProcessor, tmp_path: Path) -> None:
        path = write_video(tmp_path / "a.mp4", [Image.effect_noise((64, 48), 80).convert("RGB")] * 40)
        batch = RetrievalCollator(clips, augment=RandomCrop())(
            [row(name, image=None, video=str(path)) for name in "ab"]
        )
        frames = batch["pixel_values"]
        # Only the encoder's losses tell the frames apart, but the crop tells the two rows apart.
        assert (frames[:, 1:] - frames[:, :1]).abs().mean() < 0.1 < (frames[0] - frames[1]).abs().mean()

    def test_a_processor_for_pictures_takes_no_video(self, ours: LeccrProcessor, rows: list[dict[str, Any]]) -> None:
        for batch in ([row("c"), rows[0]], [{**rows[0], "visual_features": torch.ones(2, 5)}]):
            with pytest.raises(ValueError, match="Row 'a' is a video, but the processor is only for pictures; set its"):
                RetrievalCollator(ours)(batch)

    def test_a_broken_video_is_named(self, clips: LeccrProcessor, tmp_path: Path) -> None:
        (tmp_path / "broken.mp4").write_text("no video")
        with pytest.raises(ValueError, match="broken.mp4 cannot be decoded as a video"):
            RetrievalCollator(clips)([row("a", image=None, video=str(tmp_path / "broken.mp4"))])


class TestEvaluation:
    def test_all_captions_are_there_and_the_rest_is_padding(self, ours: LeccrProcessor) -> None:
        rows = dataset([row("a", captions=1), row("b", captions=3)])
        batch = RetrievalCollator(ours)(list(evaluation_rows(rows, ["en", "zh"])))
        assert batch["caption_languages"].tolist() == [[0, 1, *[LANGUAGE_PADDING] * 4], [0, 0, 0, 1, 1, 1]]
        assert batch["caption_input_ids"].shape == batch["caption_attention_mask"].shape
        assert batch["caption_input_ids"].shape[:2] == (2, 6)
        assert read(ours, batch["caption_input_ids"][0, :2]) == ["en a 0", "zh a 0"]
        expected = [f"{language} b {number}" for language in ("en", "zh") for number in range(3)]
        assert read(ours, batch["caption_input_ids"][1]) == expected
        # The model refuses texts without any token.
        assert batch["caption_attention_mask"].any(dim=2).all()
        assert not [name for name in batch if name.startswith(("source", "target")) or name == "image_ids"]


class TestStableId:
    def test_the_same_in_every_process(self) -> None:
        assert stable_id("scenes-train-000000") == 0x40CEB8E69CB6C17C >> 1

    def test_different_names_differ_and_fit_a_tensor(self) -> None:
        numbers = {stable_id(str(name)) for name in range(1000)}
        assert len(numbers) == 1000
        assert all(0 <= number < 2**63 for number in numbers)
