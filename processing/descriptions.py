"""The file `descriptions.jsonl`, in which descriptions of pictures and videos are, one record a line."""

import json
from pathlib import Path

from .errors import UserError
from .names import ByName
from .text_files import is_encodable, read_text

DESCRIPTIONS_FILE = "descriptions.jsonl"


def read_descriptions(folder: Path) -> ByName[str]:
    """Return the descriptions in a folder's `descriptions.jsonl`, by id; none without such a file.

    Raises:
        UserError: If a line is not a record with an id and a description.
    """
    path = folder / DESCRIPTIONS_FILE
    if not path.is_file():
        return ByName()
    descriptions: ByName[str] = ByName()
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            name, text = record["id"], record["description"]
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"Line {number} of {path} is not a record with an id and a description; correct it."
            ) from error
        if isinstance(text, str) and text.strip():
            if not is_encodable(text):
                raise UserError(f"Line {number} of {path} has a description that is not valid text; correct it.")
            descriptions[str(name)] = text
    return descriptions
