import json
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import DatasetDict
from transformers import Trainer, TrainerCallback

from leccr.errors import UserError
from leccr.recipes import override_training
from leccr.training.train import train_recipe
from modeling_leccr import CrossLingualModel
from processing import CaptionCollator
from processing.caption_embeddings import EMBEDDINGS_FILE, CaptionEmbeddings, save_caption_embeddings
from processing.features import FEATURES_FILE, FeatureFile, save_features
from processing.notes import QUIET_VARIABLE
from tests.tiny_data import DUAL_ENCODER, ROWS, dataset, recipe, row, scenes, trainer_for

CL2CM: dict[str, Any] = {**DUAL_ENCODER, "source_target_weight": 0.0, "transfer_weight": 1.0}


@pytest.fixture(scope="module")
def data() -> DatasetDict:
    return scenes()


class Stop(TrainerCallback):
    """Interrupts a run after an epoch, as a power cut would."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.epoch >= self.epoch:
            raise KeyboardInterrupt


class TestMakeTrainer:
    def test_a_stock_trainer_with_the_recipes_settings(self, data: DatasetDict, tmp_path: Path) -> None:
        tiny = recipe(training={"adam_beta2": 0.98, "weight_decay": 0.05}, new_layers_learning_rate=0.1)
        trainer = trainer_for(tiny, data, tmp_path, seed=3)
        assert type(trainer) is Trainer
        assert trainer.args.seed == 3
        groups = trainer.optimizer.param_groups
        assert {(group["lr"], group["weight_decay"]) for group in groups} == {
            (1e-2, 0.05),
            (1e-2, 0.0),
            (0.1, 0.05),
            (0.1, 0.0),
        }
        assert {group["betas"] for group in groups} == {(0.9, 0.98)}

    def test_without_languages_the_data_decide(self, data: DatasetDict, tmp_path: Path) -> None:
        trainer = trainer_for(recipe(), data, tmp_path)
        assert trainer.data_collator.languages == {"cs", "de", "fr", "ja", "zh"}
        assert trainer.compute_metrics.languages == ["en", "cs", "de", "fr", "ja", "zh"]

    @pytest.mark.parametrize("languages", [["zh", "de"], ["en", "zh", "de", "zh"]])
    def test_some_languages(self, data: DatasetDict, tmp_path: Path, languages: list[str]) -> None:
        trainer = trainer_for(recipe(), data, tmp_path, languages=languages)
        assert trainer.data_collator.languages == {"zh", "de"}
        assert trainer.compute_metrics.languages == ["en", "zh", "de"]
        assert trainer.eval_dataset[0]["caption_languages"] == [0] * 5 + [1] * 5 + [2] * 5

    def test_a_language_that_is_not_there(self, data: DatasetDict, tmp_path: Path) -> None:
        with pytest.raises(
            UserError, match="no training captions in sv, only in en, cs, de, fr, ja, zh; add some with"
        ):
            trainer_for(recipe(), data, tmp_path / "new", languages=["de", "sv"])
        assert not (tmp_path / "new").exists()

    def test_pictures_are_varied_only_if_the_recipe_says_so(self, data: DatasetDict, tmp_path: Path) -> None:
        assert trainer_for(recipe(), data, tmp_path).data_collator.augment is None
        trainer = trainer_for(recipe(augmentation={"scale": [0.7, 1.0]}), data, tmp_path)
        assert trainer.data_collator.augment.scale == [0.7, 1.0]

    @pytest.mark.parametrize("quiet", [False, True])
    def test_quiet_training_prints_no_logs(
        self,
        data: DatasetDict,
        tmp_path: Path,
        quiet: bool,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setenv(QUIET_VARIABLE, "1" if quiet else "0")
        settings = {"max_steps": 1, "logging_steps": 1, "disable_tqdm": True, "eval_strategy": "no"}
        settings |= {"save_strategy": "no", "load_best_model_at_end": False}
        trainer_for(recipe(training=settings), data, tmp_path).train()
        assert ("loss" in capsys.readouterr().out) is not quiet

    def test_noise_on_word_embeddings_is_a_setting_of_trainer(self, data: DatasetDict, tmp_path: Path) -> None:
        losses = []
        for settings in ({}, {"neftune_noise_alpha": "50.0"}):
            tiny = override_training(recipe(training={"max_steps": 1, "logging_steps": 1}), settings)
            trainer = trainer_for(tiny, data, tmp_path, ["de"])
            trainer.train()
            losses.append(trainer.state.log_history[0]["loss"])
        assert losses[0] != losses[1]

    def test_equal_seeds_give_equal_models(self, data: DatasetDict, tmp_path: Path) -> None:
        states = [trainer_for(recipe(), data, tmp_path, seed=seed).model.state_dict() for seed in (1, 1, 2)]
        name = "text.tower.model.embeddings.word_embeddings.weight"
        assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
        assert not torch.equal(states[0][name], states[2][name])

    def test_visual_features_stand_in_for_pictures(self, data: DatasetDict, tmp_path: Path) -> None:
        ids = [name for rows in data.values() for name in rows["id"]]
        save_features(tmp_path / FEATURES_FILE, ids, [torch.randn(2 + index % 3, 6) for index in range(len(ids))])
        tiny = recipe(
            model={**DUAL_ENCODER, "vision_standardize": True}, vision=None, augmentation={"scale": [0.5, 1.0]}
        )
        trainer = trainer_for(tiny, data, tmp_path / "run", ["de"], FeatureFile(tmp_path))
        assert trainer.data_collator.augment is None
        assert trainer.model.image.standardizer.mean.abs().sum() > 0
        report = train_recipe(trainer, tiny)
        assert report["steps"] == 6 and report["validation"]["eval_sum_of_hit_rates"] > 0


class TestTextOnly:
    def test_a_stock_trainer_without_pictures(self, data: DatasetDict, tmp_path: Path) -> None:
        trainer = trainer_for(recipe(model={}, network="cross-lingual"), data, tmp_path, ["zh", "de"])
        assert type(trainer) is Trainer and type(trainer.model) is CrossLingualModel
        assert type(trainer.data_collator) is CaptionCollator
        assert trainer.data_collator.languages == {"zh", "de"}
        assert trainer.compute_metrics.languages == ["en", "zh", "de"]
        assert not {"image", "description"} & {*trainer.train_dataset.features, *trainer.eval_dataset.features}

    def test_training_learns_to_translate(self, data: DatasetDict, tmp_path: Path) -> None:
        tiny = recipe(model={"token_dropout": 0.0}, network="cross-lingual", training={"num_train_epochs": 12})
        trainer = trainer_for(tiny, data, tmp_path, ["de"])
        report = train_recipe(trainer, tiny)
        sums = [entry["eval_sum_of_hit_rates"] for entry in trainer.state.log_history if "eval_loss" in entry]
        assert len(sums) == 12
        assert report["validation"]["eval_de_sum_of_hit_rates"] == max(sums) > sums[0]

    def test_data_without_translations(self, tmp_path: Path) -> None:
        rows = dataset([row("a", languages=[]), row("b", target_captions=None)])
        for tiny in (recipe(model={}, network="cross-lingual"), recipe(model=CL2CM)):
            with pytest.raises(UserError, match="Recipe tiny learns from translations"):
                trainer_for(tiny, {"train": rows, "validation": rows}, tmp_path)


class TestTransfer:
    ROWS = [row(name, captions=2) for name in "abcd"]

    @pytest.fixture
    def embeddings(self, tmp_path: Path) -> CaptionEmbeddings:
        torch.manual_seed(0)
        vectors = [torch.randn(6, 3).half() for _ in self.ROWS]
        save_caption_embeddings(tmp_path / EMBEDDINGS_FILE, self.ROWS, vectors, teacher="some/teacher")
        return CaptionEmbeddings(tmp_path)

    def test_training_rows_bring_the_teachers_embeddings(self, embeddings: CaptionEmbeddings, tmp_path: Path) -> None:
        rows = dataset(self.ROWS)
        trainer = trainer_for(recipe(model=CL2CM), {"train": rows, "validation": rows}, tmp_path, embeddings=embeddings)
        (batch,) = list(trainer.get_train_dataloader())
        assert batch["source_teacher_embeds"].shape == batch["target_teacher_embeds"].shape == (4, 3)
        assert trainer.model(**batch).loss_transfer > 0
        assert train_recipe(trainer, recipe(model=CL2CM))["steps"] == 2

    def test_the_teacher_changes_what_is_learned(self, embeddings: CaptionEmbeddings, tmp_path: Path) -> None:
        rows = dataset(self.ROWS)
        weights = []
        for weight in (0.0, 1.0):
            tiny = recipe(model={**CL2CM, "transfer_weight": weight})
            run = tmp_path / str(weight)
            trainer = trainer_for(tiny, {"train": rows, "validation": rows}, run, embeddings=embeddings)
            trainer.train()
            weights.append(trainer.model.text.head.state_dict())
        assert not all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())

    def test_the_users_own_columns_do_as_well(self, tmp_path: Path) -> None:
        rows = dataset(self.ROWS)
        train = rows.add_column("source_embeddings", [[[1.0, 2.0]] * 2] * 4)
        train = train.add_column("target_embeddings", [[[3.0, 4.0]] * 4] * 4)
        trainer = trainer_for(recipe(model=CL2CM), {"train": train, "validation": rows}, tmp_path)
        (batch,) = list(trainer.get_train_dataloader())
        assert batch["target_teacher_embeds"].tolist() == [[3, 4]] * 4

    def test_without_a_teacher_the_error_names_the_command(self, tmp_path: Path) -> None:
        rows = dataset(self.ROWS)
        message = "Recipe tiny learns from a teacher's .* make them with: leccr embed-captions DATA --model TEACHER."
        with pytest.raises(UserError, match=message):
            trainer_for(recipe(model=CL2CM), {"train": rows, "validation": rows}, tmp_path)

    def test_captions_that_have_changed_stop_the_run_at_once(
        self, embeddings: CaptionEmbeddings, tmp_path: Path
    ) -> None:
        rows = dataset([*self.ROWS[:3], row("d", captions=3)])
        with pytest.raises(ValueError, match="captions of row 'd' have changed .* leccr embed-captions DATA --model"):
            trainer_for(
                recipe(model=CL2CM), {"train": rows, "validation": rows}, tmp_path / "run", embeddings=embeddings
            )
        assert not (tmp_path / "run").exists()


class TestTrainRecipe:
    def test_data_that_do_not_fit_the_model_are_the_users(self, data: DatasetDict, tmp_path: Path) -> None:
        trainer = trainer_for(recipe(), data, tmp_path)
        texts = {
            f"{side}_{name}": torch.ones(1, 2).long()
            for side in ("source", "target")
            for name in ("input_ids", "attention_mask")
        }
        trainer.data_collator = lambda rows: {**texts, "return_loss": True}
        with pytest.raises(UserError, match="^Give either pixel_values or visual_features; neither was given"):
            train_recipe(trainer, recipe())

    @pytest.mark.parametrize("model", [None, DUAL_ENCODER], ids=["slots", "dual-encoder"])
    def test_the_best_epoch_is_kept(self, data: DatasetDict, tmp_path: Path, model: dict[str, Any] | None) -> None:
        tiny = recipe(model=model, training={"num_train_epochs": 3, "logging_steps": 1})
        trainer = trainer_for(tiny, data, tmp_path, ["de", "zh"])
        before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
        report = train_recipe(trainer, tiny)
        history = trainer.state.log_history
        losses = [entry["loss"] for entry in history if "loss" in entry]
        assert len(losses) == 9 == report["steps"]
        assert all(0 < loss < 100 for loss in losses)
        sums = [entry["eval_sum_of_hit_rates"] for entry in history if "eval_sum_of_hit_rates" in entry]
        assert len(sums) == 3
        assert report["validation"]["eval_sum_of_hit_rates"] == max(sums)
        assert report["validation"]["epoch"] == 1 + sums.index(max(sums))
        # The model is the best epoch's again.
        assert trainer.evaluate()["eval_sum_of_hit_rates"] == max(sums)
        after = trainer.model.state_dict()
        assert not torch.equal(after["text.head.output.weight"], before["text.head.output.weight"])
        assert report["recipe"] == "tiny"
        json.dumps(report)

    def test_training_learns(self, tmp_path: Path) -> None:
        settings = {"num_train_epochs": 15, "logging_steps": 3, "eval_strategy": "no", "save_strategy": "no"}
        tiny = recipe(model=DUAL_ENCODER, training={**settings, "load_best_model_at_end": False})
        # Pictures of one colour each: ten seeds ended between 0.2 and 0.35 of the first loss.
        plain = DatasetDict(train=dataset(ROWS), validation=dataset(ROWS))
        trainer = trainer_for(tiny, plain, tmp_path, ["de"])
        report = train_recipe(trainer, tiny)
        losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
        assert losses[-1] < 0.7 * losses[0]
        assert report["validation"] == {}

    def test_an_interrupted_run_goes_on_to_the_same_weights(self, data: DatasetDict, tmp_path: Path) -> None:
        tiny = recipe(training={"num_train_epochs": 3, "load_best_model_at_end": False, "save_total_limit": 2})
        whole = trainer_for(tiny, data, tmp_path / "whole", ["de", "zh"])
        expected = train_recipe(whole, tiny)
        interrupted = trainer_for(tiny, data, tmp_path / "part", ["de", "zh"])
        interrupted.add_callback(Stop(2))
        with pytest.raises(KeyboardInterrupt):
            train_recipe(interrupted, tiny)
        torch.rand(7)  # whatever happens between the two
        resumed = trainer_for(tiny, data, tmp_path / "part", ["de", "zh"])
        report = train_recipe(resumed, tiny, resume=True)
        assert report["steps"] == expected["steps"] == 9
        assert resumed.processing_class.tokenizer.get_vocab() == whole.processing_class.tokenizer.get_vocab()
        for name, value in whole.model.state_dict().items():
            assert torch.equal(resumed.model.state_dict()[name], value), name
        seconds = ("runtime", "per_second")
        first, second = (
            {name: value for name, value in run["validation"].items() if not name.endswith(seconds)}
            for run in (expected, report)
        )
        assert first == second
