import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hub_card.results import data_name
from leccr.cli import app
from leccr.data.facts import CARD, data_facts, write_facts
from leccr.errors import UserError
from leccr.gallery.store.catalogue import Catalogue
from leccr.gallery.store.state import State
from leccr.hub.card_facts import read_facts
from leccr.hub.push import plan_upload, run_card, run_push
from processing.writing import write_text
from tests.hub_card.figures import CONFIG, result, training
from tests.hub_card.test_data_card import FACTS

NAME = "org/leccr-multi30k"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    path = tmp_path / "figures.json"
    path.write_text(json.dumps([result("de"), result("fr")]))
    return path


def test_a_checkpoint_is_recognised_and_nothing_else_of_the_run_goes_along(checkpoint: Path) -> None:
    upload = plan_upload(checkpoint, NAME)
    assert (upload.kind, upload.repo_type) == ("checkpoint", "model")
    expected = {"config.json", "training.json", "processor_config.json", "model.safetensors", "modeling_leccr.py"}
    assert set(upload.files) == expected
    assert set(upload.left_out) == {"checkpoints/", ".hidden.json", "a.json.part", "ranks.npz", "optimizer.pt"}
    assert upload.card is not None and f'from_pretrained("{NAME}"' in upload.card


def test_figures_go_into_the_card_and_into_records(checkpoint: Path, results: Path) -> None:
    upload = plan_upload(checkpoint, NAME, results=[results], dataset="org/multi30k")
    assert upload.card is not None and "model-index" in upload.card
    records = {name for name in upload.files if name.startswith(".eval_results/")}
    assert records == {".eval_results/multi30k_test_de.yaml", ".eval_results/multi30k_test_fr.yaml"}
    without = plan_upload(checkpoint, NAME, results=[results])
    assert not any(name.startswith(".eval_results/") for name in without.files)
    assert any("--dataset" in note for note in without.notes)


def test_what_the_data_are_comes_from_their_facts(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    write_facts(tmp_path / "data", FACTS)
    facts = read_facts(checkpoint, NAME, data=tmp_path / "data")
    assert facts.data == {
        "title": "Flickr8k-CN",
        "reader": "flickr8k-cn",
        "languages": ["en", "zh"],
        "published": "example.org",
    }
    assert data_facts("scenes")["title"].startswith("Scenes")
    recorded = {"title": "Mine", "languages": ["en"], "rows": {"train": 7}}
    (checkpoint / "training.json").write_text(json.dumps(training(data=recorded)))
    assert read_facts(checkpoint, NAME).data == recorded


def test_only_towers_from_the_hub_are_base_models(checkpoint: Path) -> None:
    towers = {
        "vision_config": {"_name_or_path": "openai/clip-vit-base-patch32"},
        "text_config": {"_name_or_path": "../shared/weights/mbert"},
        "description_config": {"_name_or_path": ""},
    }
    (checkpoint / "config.json").write_text(json.dumps({**CONFIG, **towers}))
    assert read_facts(checkpoint, NAME).base_models == ["openai/clip-vit-base-patch32"]


def test_the_dual_encoder_that_it_started_from_is_a_base_model(checkpoint: Path) -> None:
    write_text(checkpoint / "recipe.yaml", "name: a\ndual_encoder: google/siglip2-base-patch16-224\n")
    assert read_facts(checkpoint, NAME).base_models == ["google/siglip2-base-patch16-224"]
    write_text(checkpoint / "recipe.yaml", "name: a\ndual_encoder: ../shared/clip\n")
    assert read_facts(checkpoint, NAME).base_models == []


def test_a_recipe_is_published_without_the_folders_of_this_machine(checkpoint: Path) -> None:
    recipe = checkpoint / "recipe.yaml"
    write_text(recipe, f"# The towers changed this:\n#   a: 1 -> 2\nname: leccr\ntext: org/bert\ndata: {checkpoint}\n")
    upload = plan_upload(checkpoint, NAME)
    assert bytes(upload.files["recipe.yaml"]).decode() == (
        "# The towers changed this:\n#   a: 1 -> 2\nname: leccr\ntext: org/bert\ndata: run\n"
    )
    assert upload.card is not None and "- Text tower: `org/bert`." in upload.card
    write_text(recipe, "name: leccr\ndata: scenes\n")
    assert plan_upload(checkpoint, NAME).files["recipe.yaml"] == recipe


def test_figures_go_by_the_title_of_their_data_where_these_are_still_there(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "both").mkdir()
    write_facts(tmp_path / "both", FACTS)
    path = tmp_path / "figures.json"
    path.write_text(json.dumps([result(data=str(tmp_path / "both")), result(data=str(tmp_path / "gone"))]))
    assert [data_name(found) for found in read_facts(checkpoint, NAME, [path]).results] == ["Flickr8k-CN", "gone"]


def test_of_several_models_the_card_takes_its_own_figures(checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    path.write_text(json.dumps([result(checkpoint="org/clip"), result("fr", checkpoint=f"{checkpoint}/")]))
    assert [found["language"] for found in read_facts(checkpoint, NAME, [path]).results] == ["fr"]
    path.write_text(json.dumps([result(checkpoint="org/clip"), result(checkpoint="org/siglip")]))
    with pytest.raises(UserError, match="has the figures of .*org/clip.* and none of .*; evaluate it as well"):
        read_facts(checkpoint, NAME, [path])


def test_folders_of_this_machine_are_not_published(checkpoint: Path) -> None:
    towers = {
        "vision_config": {"_name_or_path": "openai/clip-vit-base-patch32", "hidden_size": 8},
        "text_config": {"_name_or_path": str(checkpoint), "hidden_size": 8},
    }
    (checkpoint / "config.json").write_text(json.dumps({**CONFIG, **towers}))
    (checkpoint / "training.json").write_text(json.dumps(training(teacher="../runs/teacher")))
    files = plan_upload(checkpoint, NAME).files
    config, report = (json.loads(bytes(files[name])) for name in ("config.json", "training.json"))
    assert config == {**CONFIG, "vision_config": towers["vision_config"], "text_config": {"hidden_size": 8}}
    assert report == training()
    assert files["processor_config.json"] == checkpoint / "processor_config.json"


def test_files_without_such_folders_stay_as_they_are(checkpoint: Path) -> None:
    files = plan_upload(checkpoint, NAME).files
    assert all(files[name] == checkpoint / name for name in ("config.json", "training.json"))


@pytest.mark.parametrize("name", ["descriptions.jsonl", "translations.jsonl", "back_translations.jsonl"])
def test_what_a_model_said_is_published_without_the_folder_of_the_model(name: str, tmp_path: Path) -> None:
    records = [{"id": "ä\u2028", "settings": {"model": model}} for model in (str(tmp_path / "blip"), "org/blip")]
    lines = [json.dumps(record, ensure_ascii=False) for record in (*records, {"id": "mine"})]
    (tmp_path / name).write_text("\n".join([*lines[:1], "", *lines[1:]]) + "\n", encoding="utf-8")
    content = plan_upload(tmp_path, "org/data", kind="dataset").files[name]
    assert isinstance(content, bytes)
    expected = [lines[0].replace(str(tmp_path / "blip"), "blip"), "", *lines[1:]]
    assert content.decode() == "\n".join(expected) + "\n"
    (tmp_path / name).write_bytes(content)
    assert plan_upload(tmp_path, "org/data", kind="dataset").files[name] == tmp_path / name


def test_a_data_set_and_a_gallery_are_recognised(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    write_facts(data, FACTS)
    (data / CARD).write_text((data / CARD).read_text().replace("Train on English.", "Old.") + "\nMine.\n")
    (data / "train-00000-of-00001.parquet").write_bytes(b"PAR1")
    upload = plan_upload(data, "org/data")
    assert (upload.kind, upload.repo_type, set(upload.files)) == (
        "data set",
        "dataset",
        {"train-00000-of-00001.parquet", "facts.json"},
    )
    assert upload.card is not None and "Train on English." in upload.card and upload.card.endswith("\nMine.\n")

    gallery = tmp_path / "gallery"
    Catalogue.create(
        gallery, State(model="runs/mine", fingerprint="f", view_count=2, width=4, slots=True, items=3, positions=3)
    ).close()
    (gallery / "views-1.fp32").write_bytes(b"0" * 96)
    upload = plan_upload(gallery, "org/photos")
    assert (upload.kind, upload.repo_type) == ("gallery", "dataset")
    assert set(upload.files) == {"gallery.sqlite", "views-1.fp32"}
    assert upload.card is not None and "3 pictures" in upload.card and "runs/" not in upload.card
    assert "thumbnails" in upload.notes[0]


def test_states_of_texts_stay_and_features_go_with_the_data(tmp_path: Path) -> None:
    names = ["train-00000-of-00001.parquet", "features-clip.safetensors", "texts-e5.safetensors"]
    for name in [*names, "features-new.parts/about.json"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"PAR1")
    upload = plan_upload(tmp_path, "org/data")
    assert sorted(upload.files) == sorted(names[:2])
    assert upload.left_out == ["features-new.parts/about.json", "texts-e5.safetensors"]
    assert "texts-e5.safetensors: left out, because `leccr features --texts` makes it" in upload.notes[0]


def test_any_folder_as_a_data_set(tmp_path: Path) -> None:
    (tmp_path / "below" / ".git").mkdir(parents=True)
    (tmp_path / "below" / "a.txt").write_text("a")
    (tmp_path / "below" / ".git" / "config").write_text("secret")
    upload = plan_upload(tmp_path, "org/x", kind="dataset")
    assert set(upload.files) == {"below/a.txt"}
    assert upload.card is None


def test_a_dry_run_lists_files_sizes_and_what_stays(checkpoint: Path) -> None:
    said = CliRunner().invoke(app, ["push", str(checkpoint), NAME, "--dry-run", "--private"])
    assert said.exit_code == 0, said.output
    assert "            7  model.safetensors" in said.output
    assert "README.md" in said.output and "Left out: " in said.output and "ranks.npz" in said.output
    assert said.output.rstrip().endswith("Nothing was uploaded.")


def test_the_card_alone(checkpoint: Path, results: Path, tmp_path: Path) -> None:
    said = CliRunner().invoke(app, ["card", str(checkpoint), "--results", str(results), "--license", "mit"])
    assert said.exit_code == 0, said.output
    first = (checkpoint / CARD).read_text()
    assert "license: mit" in first and "### multi30k" in first
    (checkpoint / CARD).write_text(first + "\nMine.\n")
    run_card(checkpoint)
    again = (checkpoint / CARD).read_text()
    assert again.endswith("\nMine.\n") and "### multi30k" not in again and "license: mit" in again
    assert run_card(checkpoint, tmp_path / "new" / "card.md", NAME) == tmp_path / "new" / "card.md"
    assert f'"{NAME}"' in (tmp_path / "new" / "card.md").read_text()


def test_an_edited_card_in_the_folder_is_published(checkpoint: Path) -> None:
    run_card(checkpoint)
    path = checkpoint / CARD
    path.write_text(path.read_text() + "\nMine.\n")
    upload = plan_upload(checkpoint, NAME)
    assert upload.card is not None and upload.card.endswith("\nMine.\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"repository": "no-slash"}, "as org/name"),
        ({"repository": "org/na me"}, "org/na me"),
        ({"kind": "space"}, '"space"'),
        ({"folder": "missing"}, "There is no folder"),
        ({"folder": "empty"}, "no model, no prepared data and no gallery"),
        ({"folder": "empty", "kind": "model"}, "no config.json"),
        ({"folder": "empty", "kind": "dataset"}, "no files"),
        ({"folder": "empty", "kind": "dataset", "license": "mit"}, "--license"),
        ({"folder": "other"}, "a bert model"),
        ({"folder": "unfinished"}, "no weights"),
        ({"folder": "broken"}, "config.json is missing or not JSON"),
        ({"results": [Path("nowhere.json")]}, "nowhere.json is missing"),
        ({"data": Path("nowhere")}, "nowhere has no facts.json"),
    ],
)
def test_bad_input_is_named(options: dict[str, Any], message: str, checkpoint: Path, tmp_path: Path) -> None:
    contents = {"empty": None, "other": {"model_type": "bert"}, "unfinished": CONFIG, "broken": "{"}
    for name, content in contents.items():
        (tmp_path / name).mkdir()
        if content is not None:
            (tmp_path / name / "config.json").write_text(content if isinstance(content, str) else json.dumps(content))
    folder = tmp_path / options["folder"] if "folder" in options else checkpoint
    rest = {"repository": NAME, "dry_run": True, **options, "folder": folder}
    with pytest.raises(UserError, match=message):
        run_push(**rest)


def test_figures_of_another_form_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[{}]")
    said = CliRunner().invoke(app, ["push", str(checkpoint), NAME, "--dry-run", "--results", str(tmp_path / "a.json")])
    assert said.exit_code == 2
    assert said.stderr.startswith("Error: ") and "a.json holds no figures" in said.stderr


def test_a_calibration_is_published_and_in_the_card(checkpoint: Path) -> None:
    curve = {"slope": 12.5, "intercept": -3.0, "queries": 40}
    fields = {"overall": curve, "languages": {"de": curve}, "pictures": 7, "description_weight": None}
    (checkpoint / "calibration.json").write_text(json.dumps(fields))
    upload = plan_upload(checkpoint, "org/model")
    assert "calibration.json" in upload.files and "12.50" in str(upload.card)
    (checkpoint / "calibration.json").write_text("[]")
    with pytest.raises(UserError, match="is damaged"):
        plan_upload(checkpoint, "org/model")
