"""From `leccr push` to a stranger's `from_pretrained` over HTTP: with the newest libraries, and the lowest allowed.

Other processes do it, because the libraries read the address of the Hub when they are imported.
"""

import json
import re
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from huggingface_hub import ModelCard
from PIL import Image
from torch import Tensor
from transformers import CLIPImageProcessorPil

from leccr.gallery.store.catalogue import Catalogue
from leccr.gallery.store.state import State
from modeling_leccr import LeccrModel
from processing import LeccrProcessor
from processing.tokenizers import train_tokenizer

from . import hub_snippet_child, remote_code_child
from .hub_desk import Desk
from .hub_server import TOKEN, serving
from .hub_snippet_child import SNIPPETS
from .hub_state import File, Repository
from .modeling_leccr.tiny import PICTURE_SIZE, tiny_model
from .test_hub_round_trip import DESCRIPTIONS, LOWEST, REPOSITORY, REQUEST, TEXTS, close

WRONG = "hf_" + "w" * 34


@pytest.fixture(scope="module")
def processor() -> LeccrProcessor:
    tokenizer = train_tokenizer([*TEXTS, *(text for text in DESCRIPTIONS if text)], vocabulary_size=200)
    size = {"height": PICTURE_SIZE, "width": PICTURE_SIZE}
    images = CLIPImageProcessorPil(size={"shortest_edge": PICTURE_SIZE}, crop_size=size)
    return LeccrProcessor(images, tokenizer, text_max_length=12, description_max_length=24)


def model_with(processor: LeccrProcessor, seed: int) -> LeccrModel:
    model = tiny_model(slot_anchor="text", vocabulary=len(processor.tokenizer), seed=seed)
    model.image.anchor.slot_gate.weight.data.fill_(0.5)
    return model


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    for number, name in enumerate(REQUEST["pictures"]):
        pixels = torch.randint(256, (40, 50, 3), generator=torch.Generator().manual_seed(number), dtype=torch.uint8)
        Image.fromarray(pixels.numpy()).save(folder / str(name))
    (folder / "request.json").write_text(json.dumps(REQUEST), encoding="utf-8")
    with serving() as hub:
        used = Desk(hub, folder)
        yield used
        # After all tests: some may have run in another process, which checks its own.
        used.check()


@pytest.fixture(scope="module")
def published(desk: Desk, processor: LeccrProcessor) -> dict[str, Any]:
    """Publish one model and then another one in its place, try so with a wrong token, and publish a gallery.

    Returns:
        What the models embed, the first one's commit, and what came of the wrong token.
    """
    found: dict[str, Any] = {}
    for seed, name in enumerate(("first", "second")):
        model = model_with(processor, seed)
        model.save_pretrained(desk.folder / name)
        processor.save_pretrained(desk.folder / name)
        found[name] = remote_code_child.embed(model, processor, desk.folder)
    state = State(model="runs/mine", fingerprint="f", view_count=2, width=4, slots=True, items=3, positions=3)
    Catalogue.create(desk.folder / "photos", state).close()
    (desk.folder / "photos" / "views-1.fp32").write_bytes(bytes(range(96)))
    first, second = str(desk.folder / "first"), str(desk.folder / "second")
    # The connection breaks off once while the weights of the first go up; the client tries again by itself.
    desk.hub.drop("PUT /storage")
    *right, found["wrong token"] = desk.push(
        [TOKEN, first, REPOSITORY, "--license", "apache-2.0"],
        [TOKEN, second, REPOSITORY, "--license", "apache-2.0", "--endpoint-handler"],
        [TOKEN, str(desk.folder / "photos"), "org/photos"],
        [WRONG, first, REPOSITORY],
    )
    assert [code for code, _, _ in right] == [0, 0, 0], right
    [found["first commit"]], [found["second commit"]] = (re.findall(r"\b[0-9a-f]{40}\b", each[1]) for each in right[:2])
    return found


def differ(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return bool((first["texts"] - second["texts"]).abs().max() > 1e-2)


def test_a_wrong_token_gives_one_clear_line_and_changes_nothing(desk: Desk, published: dict[str, Any]) -> None:
    code, _, errors = published["wrong token"]
    assert code == 2
    assert errors.splitlines()[-1].startswith("Error: The Hub does not accept the token: log in")
    assert "Traceback" not in errors
    assert WRONG not in desk.output
    assert desk.hub.repositories["model", REPOSITORY].branches["main"] == published["second commit"]


def check(report: dict[str, Any], expected: dict[str, Tensor], lowest: bool) -> None:
    close(report["embeddings"], expected)
    assert report["transformers"] == ("5.6.0" if lowest else transformers.__version__)
    assert report["classes"] == ["LeccrModel", "LeccrProcessor"]
    assert all(module.startswith("transformers_modules.") for module in report["modules"])
    assert report["loading"] == {} and report["imported"] == []


@pytest.mark.slow
@pytest.mark.parametrize("lowest", [False, True], ids=["newest", "lowest"])
def test_what_was_published_loads_by_name_by_commit_by_its_old_name_and_offline(
    desk: Desk, published: dict[str, Any], lowest: bool
) -> None:
    """What the stranger's transformers saves then loads with the newest one, which is the one of this process."""
    if lowest and not LOWEST.is_dir():
        pytest.skip("run make lowest")
    cache = {"HF_HOME": str(desk.folder / ("lowest" if lowest else "newest"))}
    desk.hub.renamed["org/old-name"] = REPOSITORY
    newest, pinned = f"{REPOSITORY}@main", f"{REPOSITORY}@{published['first commit']}"
    reports = desk.load(newest, pinned, "org/old-name@main", lowest=lowest, **cache)
    for report, expected in zip(reports, ("second", "first", "second"), strict=True):
        check(report, published[expected], lowest)
    assert differ(published["first"], published["second"])

    # What it saved stands by itself.
    saved_config = json.loads((desk.folder / "saved-0" / "config.json").read_text(encoding="utf-8"))
    assert not any("--" in name for name in saved_config["auto_map"].values())
    model, loading = LeccrModel.from_pretrained(desk.folder / "saved-0", output_loading_info=True)
    assert not any(loading.values()), loading
    saved = LeccrProcessor.from_pretrained(desk.folder / "saved-0")
    close(remote_code_child.embed(model.eval(), saved, desk.folder), published["second"])

    asked = len(desk.hub.requests)
    offline = {"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:9"}
    reports = desk.load(newest, pinned, lowest=lowest, **cache, **offline)
    for report, expected in zip(reports, ("second", "first"), strict=True):
        check(report, published[expected], lowest)
    assert len(desk.hub.requests) == asked


@pytest.mark.slow
@torch.inference_mode()
def test_what_the_hub_shows_for_the_card_runs(desk: Desk, published: dict[str, Any], processor: LeccrProcessor) -> None:
    """The snippets of its libraries and its pipeline, publishing what was loaded, and the handler of an endpoint."""
    picture = Image.open(desk.folder / "0.png")
    desk.hub.repositories["dataset", "huggingface/documentation-images"] = images = Repository(private=False)
    images.commit("main", {"hub/parrots.png": File((desk.folder / "0.png").read_bytes(), False)}, "Add a picture")
    card = ModelCard(desk.hub.files(REPOSITORY)["README.md"].decode()).data
    assert card.pipeline_tag == "zero-shot-image-classification"
    shown = ({card.library_name, *card.tags} & SNIPPETS.keys()) | {"pipeline", "published again", "endpoint"}
    assert shown == SNIPPETS.keys()
    filled = {"NAME": REPOSITORY, "PIPELINE": card.pipeline_tag, "HUB": desk.hub.url}
    programs = {name: reduce(lambda code, part: code.replace(*part), filled.items(), SNIPPETS[name]) for name in shown}
    (desk.folder / "snippets.json").write_text(json.dumps(programs), encoding="utf-8")
    done = desk.run(hub_snippet_child.__file__, str(desk.folder), HF_TOKEN=TOKEN)
    assert done.returncode == 0, done.stderr[-3000:]
    answers = json.loads((desk.folder / "answers.json").read_text(encoding="utf-8"))

    model = model_with(processor, seed=1)
    assert answers["transformers"] == ["LeccrProcessor", "LeccrModel"]
    assert all(name.startswith("transformers_modules.org.again.") for name in answers["published again"])
    labels = ["animals", "humans", "landscape"]
    inputs = processor(images=picture, text=[f"This is a photo of {label}." for label in labels], max_length=40)
    scores = model(**inputs).logits_per_image[0].softmax(dim=-1)
    found = {entry["label"]: entry["score"] for entry in answers["pipeline"]}
    torch.testing.assert_close(torch.tensor([found[label] for label in labels]), scores, rtol=0, atol=1e-5)
    shape, embeddings = answers["sentence-transformers"]
    assert shape == [4, 4]
    sentences = re.findall(r'^    "(.*)"', SNIPPETS["sentence-transformers"], re.MULTILINE)
    vectors_of_endpoint, labels_of_endpoint = answers["endpoint"]
    assert sorted(entry["label"] for entry in labels_of_endpoint) == ["a red ball", "ein Hund"]
    for texts, vectors in ((sentences, embeddings), (["ein Hund", "a red ball"], vectors_of_endpoint)):
        expected = model.get_text_features(**processor(text=texts))
        torch.testing.assert_close(torch.tensor(vectors), expected, rtol=0, atol=1e-5)


DOWNLOAD = (
    "import sys, huggingface_hub; print(huggingface_hub.snapshot_download(*sys.argv[1:2], repo_type=sys.argv[2]))"
)


def test_a_private_repository_asks_for_a_token(desk: Desk, published: dict[str, Any]) -> None:
    desk.hub.repositories["model", REPOSITORY].private = True
    try:
        fresh = {"HF_HOME": str(desk.folder / "fresh")}
        refused = desk.run("-c", DOWNLOAD, REPOSITORY, "model", **fresh)
        assert refused.returncode == 1 and "RepositoryNotFoundError" in refused.stderr
        done = desk.run("-c", DOWNLOAD, REPOSITORY, "model", HF_TOKEN=TOKEN, **fresh)
        assert done.returncode == 0, done.stderr[-3000:]
        assert (Path(done.stdout.strip()) / "model.safetensors").is_file()
    finally:
        desk.hub.repositories["model", REPOSITORY].private = False


def test_a_gallery_comes_back_as_it_was(desk: Desk, published: dict[str, Any]) -> None:
    folder = desk.folder / "photos"
    done = desk.run("-c", DOWNLOAD, "org/photos", "dataset")
    assert done.returncode == 0, done.stderr[-3000:]
    back = Path(done.stdout.strip())
    for name in ("gallery.sqlite", "views-1.fp32"):
        assert (back / name).read_bytes() == (folder / name).read_bytes()
    assert "3 pictures and videos" in (back / "README.md").read_text(encoding="utf-8")


TRAINER = """
import sys
from tests.tiny_data import processor, recipe, scenes, trainer_for
from pathlib import Path
data = scenes()
settings = {"max_steps": 1, "eval_strategy": "no", "save_strategy": "no", "load_best_model_at_end": False}
settings |= {"hub_model_id": "org/by-trainer", "push_to_hub": True, "hub_strategy": "end"}
trainer = trainer_for(recipe(training=settings), data, Path(sys.argv[1]), ["de"])
trainer.train()
print(trainer.push_to_hub().commit_url)
"""


@pytest.mark.slow
def test_push_to_hub_from_trainer_of_the_lowest_transformers(desk: Desk, published: dict[str, Any]) -> None:
    lowest = LOWEST.is_dir()
    done = desk.run("-c", TRAINER, str(desk.folder / "trained"), ours=True, lowest=lowest, HF_TOKEN=TOKEN)
    assert done.returncode == 0, done.stderr[-3000:]
    files = desk.hub.files("org/by-trainer")
    needed = {"config.json", "model.safetensors", "modeling_leccr.py", "processing_leccr.py", "processor_config.json"}
    assert needed | {"README.md", "tokenizer.json"} <= set(files)


def test_nothing_was_asked_that_no_hub_answers_and_the_token_shows_nowhere(
    desk: Desk, published: dict[str, Any]
) -> None:
    """The output is that of the tests above, with every log switched on."""
    assert "huggingface" in desk.output.lower() or "Published" in desk.output
    assert ("model", REPOSITORY) in desk.hub.repositories
    desk.check()
