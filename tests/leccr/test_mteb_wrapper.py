"""The real library runs here, on its own mock tasks and on tasks made of the built-in Scenes, without any download."""

import re
from pathlib import Path
from typing import Any

import mteb
import numpy as np
import pytest
import torch
from datasets import Dataset
from mteb.mocks import (
    MockAny2AnyRetrievalI2TTask,
    MockAny2AnyRetrievalT2ITask,
    MockImageClassificationTask,
    MockImageTextPairClassificationTask,
    MockRetrievalTask,
    MockVisualSTSTask,
)
from mteb.mocks.mock_tasks.create_mock_samples import create_mock_images
from mteb.models.models_protocols import EncoderProtocol
from mteb.types import PromptType
from PIL import Image as PillowImage
from torch import Tensor
from torch.nn import functional
from transformers import BertConfig, BertModel

from leccr import mteb_wrapper
from leccr.errors import UserError
from leccr.evaluation.metrics import retrieval_metrics
from leccr.evaluation.ranks import retrieval_ranks
from leccr.mteb_wrapper import LeccrEncoder
from modeling_leccr import LeccrModel
from processing import LeccrProcessor
from tests.modeling_leccr.tiny import tiny_cross_lingual, tiny_model
from tests.odd_pictures import ramps
from tests.tiny_data import processor, scenes

from .mteb_tasks import scene_tasks

QUIET: dict[str, Any] = {"cache": None, "show_progress_bar": False}


@pytest.fixture(scope="module")
def rows() -> Dataset:
    return scenes(num_train=24)["train"]


@pytest.fixture(scope="module")
def rule(rows: Dataset) -> LeccrProcessor:
    return processor(rows, text_max_length=32, description_max_length=40)


def saved(model: Any, rule: Any, folder: Path) -> str:
    model.save_pretrained(folder)
    rule.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def checkpoint(rule: LeccrProcessor, tmp_path_factory: pytest.TempPathFactory) -> str:
    model = tiny_model(vocabulary=len(rule.tokenizer), slot_anchor="text", alpha=0.5)
    model.image.anchor.slot_gate.weight.data.fill_(0.5)
    return saved(model, rule, tmp_path_factory.mktemp("checkpoints") / "leccr-tiny")


@pytest.fixture(scope="module")
def encoder(checkpoint: str) -> LeccrEncoder:
    return LeccrEncoder(checkpoint, device="cpu")


def figures(encoder: LeccrEncoder, tasks: list[Any]) -> dict[str, dict[str, float]]:
    results = mteb.evaluate(encoder, tasks, **QUIET)
    return {result.task_name: result.scores["test"][0] for result in results.task_results}


def own_figures(encoder: LeccrEncoder, rows: Dataset, descriptions: bool) -> dict[str, float]:
    """Return the figures of `leccr.evaluation.metrics`."""
    views = torch.from_numpy(encoder.encoder.row_views(rows, descriptions=descriptions))
    captions = [(index, text) for index, row in enumerate(rows) for text in row["source_captions"]]
    texts = torch.from_numpy(encoder.encoder.texts([text for _, text in captions]))
    return retrieval_metrics(retrieval_ranks(texts, views, torch.tensor([index for index, _ in captions])))


def check_figures(measured: dict[str, dict[str, float]], expected: dict[str, float], prefix: str = "Scenes") -> None:
    for task, direction in ((f"{prefix}T2I", "text_to_image"), (f"{prefix}I2T", "image_to_text")):
        for cutoff in (1, 5, 10):
            reported = 100 * measured[task][f"hit_rate_at_{cutoff}"]
            assert reported == pytest.approx(expected[f"{direction}_hit_rate_{cutoff}"], abs=1e-3)
        precision = 100 * measured[task]["map_at_1000"]
        assert precision == pytest.approx(expected[f"{direction}_mean_average_precision"], abs=1e-3)


def test_it_speaks_the_encoder_protocol(encoder: LeccrEncoder) -> None:
    assert isinstance(encoder, EncoderProtocol)


@pytest.mark.parametrize("described", [True, False])
def test_figures_are_those_of_our_own_metrics(encoder: LeccrEncoder, rows: Dataset, described: bool) -> None:
    expected = own_figures(encoder, rows, described)
    assert 0 < expected["text_to_image_hit_rate_1"] < expected["text_to_image_hit_rate_10"] < 100
    check_figures(figures(encoder, scene_tasks(rows, described)), expected)
    assert expected != own_figures(encoder, rows, not described)


def test_descriptions_by_id_do_what_a_column_does(encoder: LeccrEncoder, checkpoint: str, rows: Dataset) -> None:
    given = LeccrEncoder(checkpoint, descriptions=dict(zip(rows["id"], rows["description"])))
    check_figures(figures(given, scene_tasks(rows, False)), own_figures(encoder, rows, True))
    # Or else mteb would take the results without descriptions from its cache.
    assert given.mteb_model_meta.experiment_kwargs
    assert given.mteb_model_meta.experiment_name != encoder.mteb_model_meta.experiment_name


def test_figures_of_the_mock_tasks_are_those_of_our_own_metrics(encoder: LeccrEncoder) -> None:
    tasks = [MockAny2AnyRetrievalT2ITask(), MockAny2AnyRetrievalI2TTask()]
    for task in tasks:
        task.load_data()
    measured = figures(encoder, tasks)
    texts = torch.from_numpy(encoder.encoder.texts(tasks[0].dataset["default"]["test"]["queries"]["text"]))
    for task, side in zip(tasks, ("corpus", "queries")):
        pictures = task.dataset["default"]["test"][side]["image"]
        inputs = encoder.encoder.processor(images=[picture.convert("RGB") for picture in pictures])
        with torch.inference_mode():
            views = encoder.encoder.model.get_image_views(**inputs)
        expected = retrieval_metrics(retrieval_ranks(texts, views, torch.tensor([0, 1])))
        name = task.metadata.name
        check_figures(
            {"T2I": measured[name], "I2T": measured[name]}, expected | mirrored(expected, name[-3:]), prefix=""
        )


def mirrored(metrics: dict[str, float], task: str) -> dict[str, float]:
    """Return the figures of the task's direction under the name of the other one, too."""
    own, other = ("text_to_image", "image_to_text") if task == "T2I" else ("image_to_text", "text_to_image")
    return {name.replace(own, other): value for name, value in metrics.items() if name.startswith(own)}


def test_other_kinds_of_mock_tasks_run(encoder: LeccrEncoder) -> None:
    tasks = [MockImageClassificationTask(), MockImageTextPairClassificationTask(), MockRetrievalTask()]
    measured = figures(encoder, tasks)
    assert set(measured) == {task.metadata.name for task in tasks}
    assert all(0 <= scores["main_score"] <= 1 for scores in measured.values())


def batch(**fields: Any) -> list[dict[str, Any]]:
    pictures = create_mock_images(np.random.default_rng(3), 3)
    return [{"image": pictures[:2], **{name: values[:2] for name, values in fields.items()}}] + [
        {"image": pictures[2:], **{name: values[2:] for name, values in fields.items()}}
    ]


def encoded(encoder: LeccrEncoder, batches: Any, task: Any, prompt: PromptType | None) -> np.ndarray:
    return encoder.encode(
        batches, task_metadata=task.metadata, hf_split="test", hf_subset="default", prompt_type=prompt
    )


@torch.inference_mode()
def features(encoder: LeccrEncoder, descriptions: list[str] | None = None) -> Tensor:
    pictures = [picture.convert("RGB") for part in batch() for picture in part["image"]]
    inputs = encoder.encoder.processor(images=pictures, descriptions=descriptions)
    return encoder.encoder.model.get_image_features(**inputs)


@pytest.mark.parametrize(
    ("task", "prompt", "shape"),
    [
        (MockAny2AnyRetrievalT2ITask, PromptType.document, (3, 3, 12)),
        (MockAny2AnyRetrievalI2TTask, PromptType.query, (3, 3, 12)),
        (MockVisualSTSTask, None, (3, 12)),
        (MockImageTextPairClassificationTask, PromptType.document, (3, 12)),
    ],
)
def test_pictures_are_views_where_they_are_ranked(
    encoder: LeccrEncoder, task: Any, prompt: PromptType | None, shape: tuple[int, ...]
) -> None:
    measured = encoded(encoder, batch(), task(), prompt)
    assert measured.shape == shape
    if len(shape) == 2:
        np.testing.assert_allclose(measured, features(encoder), atol=1e-6)


def test_odd_and_large_pictures_share_a_batch(encoder: LeccrEncoder) -> None:
    shown = [*ramps().values(), PillowImage.new("RGB", (1500, 1000), "red")]
    measured = encoded(encoder, [{"image": shown}], MockVisualSTSTask(), None)
    greys = [name not in ("P", "PA") for name in ramps()]
    assert np.abs(measured[:-1][greys] - measured[0]).max() < 0.05
    assert np.abs(measured[-1] - measured[0]).max() > 0.05


def test_a_picture_that_asks_for_pictures_is_one_vector(encoder: LeccrEncoder) -> None:
    task = MockAny2AnyRetrievalI2TTask()
    task.metadata = task.metadata.model_copy(update={"category": "i2i"})
    assert encoded(encoder, batch(), task, PromptType.query).shape == (3, 12)
    assert encoded(encoder, batch(), task, PromptType.document).shape == (3, 3, 12)


def test_the_text_beside_a_picture_describes_it(encoder: LeccrEncoder) -> None:
    texts = ["A red circle.", "A blue square.", "a"]
    measured = encoded(encoder, batch(text=texts), MockVisualSTSTask(), None)
    np.testing.assert_allclose(measured, features(encoder, texts), atol=1e-6)
    assert np.abs(measured - features(encoder).numpy()).max() > 1e-2


def test_a_model_without_descriptions_adds_the_text(rule: LeccrProcessor, tmp_path: Path) -> None:
    model = tiny_model(vocabulary=len(rule.tokenizer), num_slots=0)
    plain = LeccrEncoder(saved(model, rule, tmp_path / "plain"))
    texts = ["A red circle.", " ", "a"]
    measured = encoded(plain, batch(text=texts, description=["x", "y", "z"]), MockVisualSTSTask(), None)
    text_embeds = torch.from_numpy(plain.encoder.texts(["A red circle.", ".", "a"]))
    np.testing.assert_allclose(measured, functional.normalize(features(plain) + text_embeds, dim=-1), atol=1e-6)


def test_a_batch_of_something_else(encoder: LeccrEncoder) -> None:
    with pytest.raises(ValueError, match="A batch has id, audio, but this model takes text and image"):
        encoded(encoder, [{"id": ["a"], "audio": [[0.0]]}], MockRetrievalTask(), None)


def test_similarity_is_the_largest_product_of_views(encoder: LeccrEncoder) -> None:
    generator = torch.Generator().manual_seed(0)
    texts, views = torch.randn(4, 12, generator=generator), torch.randn(5, 3, 12, generator=generator)
    expected = torch.einsum("td,nkd->tnk", texts, views).amax(-1)
    torch.testing.assert_close(encoder.similarity(texts.numpy(), views.numpy()), expected)
    torch.testing.assert_close(encoder.similarity(views, texts), expected.T)
    torch.testing.assert_close(encoder.similarity(texts[0], texts[1]), texts[:1] @ texts[1:2].T)
    torch.testing.assert_close(encoder.similarity_pairwise(texts, views[:4]), expected.diagonal())
    torch.testing.assert_close(encoder.similarity_pairwise(texts, texts), (texts * texts).sum(-1))


def test_what_it_says_of_itself(encoder: LeccrEncoder) -> None:
    meta = encoder.mteb_model_meta
    assert meta.name == "local/leccr-tiny"
    assert (meta.modalities, meta.embed_dim, meta.max_tokens) == (["image", "text"], 12, 32)
    assert meta.n_parameters == encoder.encoder.model.num_parameters()
    assert meta.experiment_kwargs is None
    assert meta.to_dict()["loader"] == "LeccrEncoder"


def test_a_retrained_model_is_another_revision(rule: LeccrProcessor, tmp_path: Path) -> None:
    revisions = set()
    for seed in (0, 1, 0):
        folder = saved(tiny_model(vocabulary=len(rule.tokenizer), seed=seed), rule, tmp_path / "run")
        revisions.add(LeccrEncoder(folder).mteb_model_meta.revision)
    assert len(revisions) == 2


def test_a_model_of_the_hub_is_called_by_its_name_and_commit(
    checkpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = tmp_path / "0123456789abcdef"
    commit.symlink_to(checkpoint, target_is_directory=True)
    asked = []

    def snapshot(name: str, revision: str | None) -> str:
        asked.append((name, revision))
        return str(commit)

    monkeypatch.setattr(mteb_wrapper, "snapshot_download", snapshot)
    meta = LeccrEncoder("org/leccr-tiny", "v1").mteb_model_meta
    assert asked == [("org/leccr-tiny", "v1")]
    assert (meta.name, meta.revision) == ("org/leccr-tiny", "0123456789abcdef")


def test_models_without_a_vision_tower_know_texts_alone(rule: LeccrProcessor, tmp_path: Path) -> None:
    rule.tokenizer.model_max_length = 32
    sentences = tiny_cross_lingual(vocabulary=len(rule.tokenizer))
    over_features = tiny_model(None, vocabulary=len(rule.tokenizer))
    measured = {}
    for name, model, kept in (("a", sentences, rule.tokenizer), ("b", over_features, rule)):
        encoder = LeccrEncoder(saved(model, kept, tmp_path / name))
        assert encoder.mteb_model_meta.modalities == ["text"]
        measured[name] = figures(encoder, [MockRetrievalTask()])["MockRetrievalTask"]["main_score"]
    assert all(0 <= score <= 1 for score in measured.values())


def test_models_that_are_not_there_or_not_ours(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no folder no/model, nor does the Hub give no/model at v2"):
        LeccrEncoder("no/model", "v2")
    BertModel(BertConfig(vocab_size=60, hidden_size=8, num_hidden_layers=1, num_attention_heads=1)).save_pretrained(
        tmp_path / "bert"
    )
    with pytest.raises(UserError, match="is a bert model, not a LECCR one; mteb loads it by itself"):
        LeccrEncoder(str(tmp_path / "bert"))


def test_the_tasks_that_the_documentation_names_exist() -> None:
    documentation = mteb_wrapper.__doc__ or ""
    names = re.findall(r"`(\w+Retrieval)`", documentation)
    assert len(names) == 3
    names += [f"Multi30k{way}Retrieval" for way in ("T2I", "I2T")]
    names += [name.replace("T2I", "I2T") for name in names[:3]]
    tasks = mteb.get_tasks(names, languages=["deu", "fra", "jpn"])
    assert {task.metadata.name for task in tasks} == set(names)
    assert {task.metadata.type for task in tasks} <= set(mteb_wrapper.RANKING_TASKS)
    assert LeccrModel.__name__ in (LeccrEncoder.__doc__ or "")
