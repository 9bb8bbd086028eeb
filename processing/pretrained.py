"""Loading pretrained models, tokenizers and processors: code that they carry runs only if the user says so."""

from typing import Any

from .errors import UserError


def load_pretrained(auto_class: Any, name: Any, trust_remote_code: bool = False, **options: Any) -> Any:
    """Call `auto_class.from_pretrained`, which never asks at the terminal whether to run a checkpoint's own code.

    Args:
        auto_class: A class of transformers with `from_pretrained`.
        name: Folder or Hub name.
        trust_remote_code: Run code that the checkpoint carries, if it is of a kind that transformers does not know.
        **options: Further arguments.

    Raises:
        UserError: If it would need code of its own, and that is not trusted.
    """
    try:
        return auto_class.from_pretrained(name, trust_remote_code=trust_remote_code, **options)
    except ValueError as error:
        if trust_remote_code or "trust_remote_code" not in str(error):
            raise
        raise UserError(
            f"{name} needs code that it carries itself, which is not run. Choose a model of a kind that transformers "
            "knows; or read that code and, if you trust it, add --trust-remote-code to `leccr describe` or `translate`."
        ) from error
