"""Videos through the whole program: prepare, describe, features, train, evaluate."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModel

from leccr.data.describe import run_description
from leccr.data.loading import for_videos, has_videos, load_data
from leccr.data.options import DescribeOptions, PrepareOptions
from leccr.data.prepare import run_preparation
from leccr.errors import UserError
from leccr.evaluation.evaluate import EvaluationOptions, evaluate_retrieval, run_evaluation
from leccr.models.build import build_model, build_processor, training_texts
from leccr.models.checkpoints import load_retriever
from leccr.models.model_encoder import ModelEncoder
from leccr.recipes import Recipe, load_recipe
from leccr.training.features import run_features
from leccr.training.train import run_training
from processing.features import FEATURES_FILE, FeatureFile
from processing.generation.describers import OF_A_VIDEO
from processing.storage import read_splits
from tests.processing.generation.chat_server import ChatServer, Reply, question_of
from tests.processing.readers.layout import write
from tests.processing.readers.test_visuals import big_file
from tests.tiny_data import DUAL_ENCODER, dataset, recipe, row, trainer_for
from tests.videos import write_video

COLOURS = ["red", "green", "blue", "yellow", "white", "black"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def tower(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a tiny pretrained vision tower."""
    folder = tmp_path_factory.mktemp("tower")
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = CLIPVisionConfig(image_size=16, patch_size=8, projection_dim=8, initializer_factor=5.0, **sizes)
    CLIPVisionModel(config).save_pretrained(folder)
    size = {"height": 16, "width": 16}
    CLIPImageProcessorPil(size=size, crop_size=size).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of ten videos of two scenes with captions in English and German, two of them for validation."""
    root = tmp_path_factory.mktemp("footage")
    lines = ["file_name,split,caption,caption_de,description"]
    pairs = [(first, second) for first in COLOURS for second in COLOURS[:2] if first != second]
    for number, (first, second) in enumerate(pairs):
        # The last is shorter than the frames that are asked for.
        scenes = [first, second] if number == len(pairs) - 1 else [first] * 10 + [second] * 10
        write_video(root / f"{number}.mp4", scenes)
        split = "validation" if number % 5 == 4 else "train"
        lines.append(f"{number}.mp4,{split},First {first} then {second}.,Erst {first} dann {second}.,It is {first}.")
    write(root, {"metadata.csv": "\n".join(lines) + "\n"})
    return root


@pytest.fixture
def data(footage: Path, tmp_path: Path) -> Path:
    run_preparation("folder", tmp_path / "data", PrepareOptions(root=footage))
    return tmp_path / "data"


def tiny(tower: Path | None, **fields: Any) -> Recipe:
    return recipe(vision=None if tower is None else str(tower), image_processor=str(tower) if tower else {}, **fields)


def towers_file(path: Path, tower: Path, **fields: Any) -> Path:
    """Write towers as a user would, for any recipe."""
    small = recipe()
    content = {
        "vision": str(tower),
        "text": small.text,
        "tokenizer": "learned",
        "model": {"projection_dim": 8, "interaction_heads": 2, "slot_layers": 1, "interaction_layers": 1},
        "training": {**small.training, "num_train_epochs": 1},
        **fields,
    }
    path.write_text(yaml.safe_dump(content))
    return path


class TestFromFilesToFigures:
    def test_on_features(self, data: Path, tower: Path, tmp_path: Path) -> None:
        ours = load_recipe("leccr", towers_file(tmp_path / "towers.yaml", tower))
        features = FeatureFile(run_features(str(data), ours))
        rows = read_splits(data)["validation"]
        assert [features[name].shape for name in rows["id"]] == [(8, 16), (2, 16)]
        run_training(dataclasses.replace(ours, data=str(data)), tmp_path / "run")
        results = run_evaluation([str(tmp_path / "run")], str(data), output=tmp_path / "figures.json")
        assert [(figures["language"], figures["protocol"]["images"]) for figures in results] == [("en", 2), ("de", 2)]
        assert (tmp_path / "figures.json").is_file()
        model, processor = load_retriever(tmp_path / "run")
        assert (model.config.vision_summary, model.config.visual_layers, processor.num_frames) == ("mean", 1, 8)
        # The same model takes the files themselves.
        views = ModelEncoder(model, processor).row_views(rows)
        np.testing.assert_allclose(views, ModelEncoder(model, processor).row_views(rows, features), atol=2e-3, rtol=0)
        assert np.abs(views[0] - views[1]).max() > 1e-2

    def test_on_the_files_themselves(self, data: Path, tower: Path, tmp_path: Path) -> None:
        towers = towers_file(
            tmp_path / "towers.yaml", tower, processor={"num_frames": 3}, augmentation={"scale": [0.5, 1.0]}
        )
        run_training(dataclasses.replace(load_recipe("dual-encoder", towers), data=str(data)), tmp_path / "run")
        assert load_retriever(tmp_path / "run")[1].num_frames == 3
        assert run_evaluation([str(tmp_path / "run")], str(data))[0]["sum_of_hit_rates"] > 0

    def test_ready_made_features(self, tower: Path, tmp_path: Path) -> None:
        """BigFiles of the releases of NRCCR and LECCR, the videos of different lengths."""
        texts = {"train": range(6), "val": range(6, 8), "test": range(8, 10)}
        files = {}
        for split, numbers in texts.items():
            for tag in ("enc", "enc2zh"):
                lines = [f"video{number}#{tag}#0 {tag} {COLOURS[number % 6]} {number}" for number in numbers]
                files[f"TextData/vatex{split}_google_{tag}.caption.txt"] = "\n".join(lines) + "\n"
        write(tmp_path / "release", files)
        frames = {
            f"video{number}": [f"video{number}_{index}" for index in range(2 + number % 3)] for number in range(10)
        }
        generator = np.random.default_rng(0)
        vectors = {name: generator.random(6).tolist() for names in frames.values() for name in names}
        big_file(tmp_path / "release" / "FeatureData" / "i3d", vectors, repr(frames))
        run_preparation("nrccr", tmp_path / "data", PrepareOptions(root=tmp_path / "release"))
        assert len(FeatureFile(tmp_path / "data")["video1"]) == 3
        small = towers_file(tmp_path / "towers.yaml", tower, vision=None, image_processor={})
        run_training(dataclasses.replace(load_recipe("leccr", small), data=str(tmp_path / "data")), tmp_path / "run")
        results = run_evaluation([str(tmp_path / "run")], str(tmp_path / "data"), EvaluationOptions("test"))
        assert [figures["language"] for figures in results] == ["en", "zh"]


class TestFeaturesAgainstPixels:
    @pytest.fixture
    def pictures(self, tmp_path: Path) -> Path:
        root = tmp_path / "pictures"
        lines = ["file_name,split,caption,caption_de"]
        for number in range(10):
            split = "validation" if number % 5 == 4 else "train"
            lines.append(f"{number}.png,{split},Noise {number}.,Rauschen {number}.")
        write(root, {"metadata.csv": "\n".join(lines) + "\n"})
        for number in range(10):
            Image.effect_noise((20, 16), 20 + 20 * number).convert("RGB").save(root / f"{number}.png")
        run_preparation("folder", tmp_path / "pictured", PrepareOptions(root=root))
        return tmp_path / "pictured"

    @pytest.mark.parametrize("kind", ["pictures", "data"])
    def test_training_has_the_same_loss(
        self, request: pytest.FixtureRequest, kind: str, tower: Path, tmp_path: Path
    ) -> None:
        folder = request.getfixturevalue(kind)
        slots = {"num_slots": 2, "slot_layers": 1, "interaction_layers": 1, "interaction_heads": 2}
        ours = tiny(tower, model={**slots, "freeze_vision": True, "dropout": 0.1}, training={"logging_steps": 1})
        losses = []
        for way in ("pixels", "features"):
            if way == "features":
                run_features(str(folder), ours, store="fp32")
            splits, features = load_data(str(folder))
            assert (features is None) == (way == "pixels")
            trainer = trainer_for(ours, splits, tmp_path / way, features=features, seed=3)
            trainer.train()
            history = trainer.state.log_history
            losses.append([entry.get("loss", entry.get("eval_loss")) for entry in history[:-1]])
        assert len(losses[0]) == 6
        np.testing.assert_allclose(losses[0], losses[1], atol=1e-4)

    def test_settings_of_the_image_processor_hold_for_features_too(self, pictures: Path, tower: Path) -> None:
        settings = {"size": {"height": 16, "width": 16}, "do_center_crop": False, "image_mean": [0.0, 0.0, 0.0]}
        plain = tiny(tower)
        ours = recipe(vision=str(tower), image_processor=settings)
        path = run_features(str(pictures), ours, store="fp32")
        name = read_splits(pictures)["train"]["id"][0]
        with_settings = FeatureFile(path)[name].clone()
        path.unlink()
        assert (FeatureFile(run_features(str(pictures), plain, store="fp32"))[name] - with_settings).abs().max() > 1e-2


class TestDescriptions:
    @pytest.fixture
    def prompts(self, tmp_path: Path) -> str:
        return str(
            write(tmp_path, {"mine.yaml": "questions: {things: What is there}\nmax_new_tokens: 6\n"}) / "mine.yaml"
        )

    def test_the_model_sees_frames(self, data: Path, prompts: str, capsys: pytest.CaptureFixture[str]) -> None:
        with ChatServer(lambda number, payload: Reply("It is blue.")) as server:
            options: dict[str, Any] = {"model": "tiny", "endpoint": server.url, "prompts": prompts}
            run_description(str(data), DescribeOptions(num_frames=4, **options))
            with pytest.raises(ValueError, match="was started with num_frames 4, not 5"):
                run_description(str(data), DescribeOptions(num_frames=5, **options))
        assert {question_of(payload) for payload in server.payloads} == {f"{OF_A_VIDEO}What is there"}
        parts = [len(payload["messages"][0]["content"]) for payload in server.payloads]
        # The shortest video has two frames; the question comes after them.
        assert sorted(parts) == [2 + 1] + [4 + 1] * 9
        assert set(read_splits(data)["train"]["description"]) == {"It is blue."}
        assert "Described 10 videos; 0 have no description." in capsys.readouterr().out

    def test_broken_videos(
        self, footage: Path, tmp_path: Path, prompts: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        data = with_a_broken_video(footage, tmp_path)
        with ChatServer(lambda number, payload: Reply("It is blue.")) as server:
            options: dict[str, Any] = {"model": "tiny", "endpoint": server.url, "prompts": prompts}
            with pytest.raises(ValueError, match="0.mp4 cannot be decoded as a video"):
                run_description(str(data), DescribeOptions(**options))
            run_description(str(data), DescribeOptions(skip_broken=True, **options))
        assert "Left out in the end: broken file (1)." in capsys.readouterr().out


def with_a_broken_video(footage: Path, folder: Path, **options: Any) -> Path:
    root = shutil.copytree(footage, folder / "footage")
    (root / "0.mp4").write_text("no video")
    run_preparation("folder", folder / "data", PrepareOptions(root=root, **options))
    return folder / "data"


class TestBrokenVideos:
    def test_preparation_can_leave_them_out(
        self, footage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        data = with_a_broken_video(footage, tmp_path, skip_broken=True)
        assert len(read_splits(data)["train"]) == 7
        assert "train: left out 1 rows whose image or video cannot be decoded: 0.mp4." in capsys.readouterr().out

    def test_training_and_evaluation_can_leave_them_out(
        self, footage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        data = str(with_a_broken_video(footage, tmp_path))
        assert len(load_data(data)[0]["train"]) == 8
        assert len(load_data(data, skip_broken=True)[0]["train"]) == 7
        assert "train: skipped 1 of 8 rows, their videos cannot be decoded: 0.mp4." in capsys.readouterr().out

    def test_features_name_them(self, footage: Path, tower: Path, tmp_path: Path) -> None:
        data = with_a_broken_video(footage, tmp_path)
        with pytest.raises(ValueError, match="0.mp4 cannot be decoded as a video"):
            run_features(str(data), tiny(tower))
        assert not (data / FEATURES_FILE).exists()


class TestKindsOfData:
    VIDEO = row("v", image=None, video="v.mp4")

    def test_which_data_have_videos(self) -> None:
        rows = dataset([row("a"), self.VIDEO, row("b")])
        assert has_videos(rows) and has_videos(rows.select([2, 1]))
        assert not has_videos(rows.select([0, 2])) and not has_videos(rows.remove_columns("video"))

    def test_a_recipe_gets_what_videos_need_and_keeps_what_it_says(self) -> None:
        pictures, videos = dataset([row("a")]), dataset([self.VIDEO])
        ours = recipe(model={**DUAL_ENCODER, "visual_layers": 2}, processor={"text_max_length": 9, "num_frames": 5})
        assert for_videos(ours, {"train": pictures}) is ours
        adapted = for_videos(ours, {"train": pictures, "validation": videos})
        assert adapted.model == {**ours.model, "vision_summary": "mean"}
        assert adapted.processor == {"text_max_length": 9, "num_frames": 5}
        plain = for_videos(recipe(), {"train": videos})
        assert (plain.model["visual_layers"], plain.processor["num_frames"]) == (1, 8)
        text_only = recipe(network="cross-lingual", model={})
        assert for_videos(text_only, {"train": videos}) is text_only

    def test_the_first_frame_cannot_stand_for_a_video(self, tmp_path: Path) -> None:
        rows = dataset([self.VIDEO])
        with pytest.raises(UserError, match="says vision_summary: first, but the data have videos"):
            trainer_for(recipe(model={"vision_summary": "first"}), {"train": rows, "validation": rows}, tmp_path)

    def test_features_of_pictures_and_videos_together(self, footage: Path, tower: Path, tmp_path: Path) -> None:
        root = shutil.copytree(footage, tmp_path / "footage")
        (root / "metadata.csv").unlink()
        Image.new("RGB", (20, 20), "red").save(root / "a.png")
        run_preparation("folder", tmp_path / "data", PrepareOptions(root=root))
        features = FeatureFile(run_features(str(tmp_path / "data"), tiny(tower)))
        assert [len(features[name]) for name in ("a.png", "0.mp4", "9.mp4")] == [1, 8, 2]

    def test_a_model_of_pictures_takes_no_videos(self, data: Path, tower: Path) -> None:
        ours = tiny(tower)
        rows = read_splits(data)["validation"]
        processor = build_processor(ours, training_texts(rows))
        with pytest.raises(ValueError, match="Row '4.mp4' is a video, but the processor is only for pictures"):
            evaluate_retrieval(ModelEncoder(build_model(ours, processor), processor), rows)
