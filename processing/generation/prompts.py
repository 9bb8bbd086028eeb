"""Sets of questions about a picture, as YAML files."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import yaml

from ..errors import UserError

FOLDER = Path(__file__).with_name("prompts")


@dataclass(frozen=True)
class Prompts:
    """Questions asked about each picture.

    Attributes:
        name: Name of the built-in set, or of the file without its ending.
        questions: Question by view; the answers in this order are the lines of the description.
        max_new_tokens: Tokens after which an answer counts as run away.
    """

    name: str
    questions: dict[str, str]
    max_new_tokens: int

    @property
    def digest(self) -> str:
        """Fingerprint of the questions, which tells two sets of one name apart."""
        return hashlib.sha256(json.dumps(list(self.questions.items())).encode()).hexdigest()[:12]


def list_prompts() -> dict[str, str]:
    """Return what each built-in set is, by name."""
    return {path.stem: yaml.safe_load(path.read_text("utf-8"))["description"] for path in sorted(FOLDER.glob("*.yaml"))}


def load_prompts(name: str) -> Prompts:
    """Load a built-in set by its name, or a YAML file with `questions` and `max_new_tokens`.

    Raises:
        UserError: If there is no such set, or the file does not hold one.
    """
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        path = FOLDER / f"{name}.yaml"
        if path.stem not in list_prompts():
            raise UserError(f"There is no prompt set {name}; use {', '.join(list_prompts())} or a YAML file.")
    elif not path.is_file():
        raise UserError(f"There is no prompt file {name}.")
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except yaml.YAMLError as error:
        raise UserError(f"{name} is not YAML: {error}") from error
    questions = content.get("questions") if isinstance(content, dict) else None
    if not isinstance(questions, dict) or not questions:
        raise UserError(f"{name} has no questions; write `questions:` and below it lines like `things: What ...?`.")
    for view, question in questions.items():
        if not isinstance(view, str) or not isinstance(question, str) or not question.strip():
            raise UserError(f"Question {view!r} of {name} is not text.")
    tokens = content.get("max_new_tokens", 128)
    if not isinstance(tokens, int) or isinstance(tokens, bool) or tokens < 1:
        raise UserError(f"max_new_tokens of {name} is {tokens!r}; give a number above 0.")
    return Prompts(path.stem, {view: question.strip() for view, question in questions.items()}, tokens)
