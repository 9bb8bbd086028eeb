"""Runs what the Hub shows for a model as a stranger would: in a process in which our packages cannot be imported.

Called by `test_hub_over_http.py` with a folder: `snippets.json` in it has programs by name, and `answers.json` gets
what each leaves as `answer`.
"""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

# What the Hub shows under "Use this model", by library; NAME is the model, PIPELINE its tag, HUB the Hub's address.
SNIPPETS = {
    "transformers": """
from transformers import AutoProcessor, AutoModelForZeroShotImageClassification

processor = AutoProcessor.from_pretrained("NAME", trust_remote_code=True)
model = AutoModelForZeroShotImageClassification.from_pretrained("NAME", trust_remote_code=True, dtype="auto")
answer = [type(processor).__name__, type(model).__name__]
""",
    "pipeline": """
from transformers import pipeline

pipe = pipeline("PIPELINE", model="NAME", trust_remote_code=True)
answer = pipe(
    "HUB/datasets/huggingface/documentation-images/resolve/main/hub/parrots.png",
    candidate_labels=["animals", "humans", "landscape"],
)
""",
    "sentence-transformers": """
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("NAME", trust_remote_code=True)

sentences = [
    "That is a happy person",
    "That is a happy dog",
    "That is a very happy person",
    "Today is a sunny day"
]
embeddings = model.encode(sentences)

similarities = model.similarity(embeddings, embeddings)
answer = [list(similarities.shape), embeddings.tolist()]
""",
    "published again": """
from transformers import AutoModelForZeroShotImageClassification, AutoProcessor

classes = (AutoModelForZeroShotImageClassification, AutoProcessor)
for auto_class in classes:
    auto_class.from_pretrained("NAME", trust_remote_code=True).push_to_hub("org/again")
loaded = [auto_class.from_pretrained("org/again", trust_remote_code=True) for auto_class in classes]
answer = [type(part).__module__ for part in loaded]
""",
    "endpoint": """
import base64, pathlib, sys
from huggingface_hub import snapshot_download

sys.path.append(snapshot_download("NAME"))
from handler import EndpointHandler

handler = EndpointHandler(sys.path[-1])
picture = base64.b64encode(pathlib.Path("0.png").read_bytes()).decode()
labels = {"candidate_labels": ["ein Hund", "a red ball"]}
answer = [handler({"inputs": labels["candidate_labels"]}), handler({"inputs": picture, "parameters": labels})]
""",
}


def main(folder: Path) -> None:
    """Run every program and write down its answer."""
    spec = importlib.util.spec_from_file_location("neighbour", Path(__file__).with_name("remote_code_child.py"))
    assert spec is not None and spec.loader is not None
    stranger = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(stranger)
    sys.meta_path.insert(0, stranger.Blocker())
    answers = {}
    for name, program in json.loads((folder / "snippets.json").read_text(encoding="utf-8")).items():
        names: dict[str, Any] = {}
        exec(compile(program, name, "exec"), names)
        answers[name] = names["answer"]
    (folder / "answers.json").write_text(json.dumps(answers), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
