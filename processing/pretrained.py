"""Loading pretrained models, tokenizers and processors: code that they carry runs only if the user says so."""

from typing import Any

from .errors import UserError
from .model_sizes import check_sizes


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
    if "Tokenizer" not in auto_class.__name__ and "Processor" not in auto_class.__name__:
        check_config(name, options.get("revision"))
    try:
        return auto_class.from_pretrained(name, trust_remote_code=trust_remote_code, **options)
    except ValueError as error:
        if trust_remote_code or "trust_remote_code" not in str(error):
            raise
        raise UserError(
            f"{name} needs code that it carries itself, which is not run. Choose a model of a kind that transformers "
            "knows; or read that code and, if you trust it, add --trust-remote-code to commands that have it."
        ) from error


def check_config(name: Any, revision: str | None = None) -> dict[str, Any]:
    """Return the fields of a checkpoint's configuration, if it is one and no size in it is impossible.

    Args:
        name: Folder or Hub name.
        revision: Branch, tag or commit on the Hub.

    Raises:
        UserError: If config.json holds something else, or a size in it is larger than that of any model.
        OSError: If there is no such checkpoint.
    """
    from transformers import PreTrainedConfig

    try:
        fields, _ = PreTrainedConfig.get_config_dict(name, revision=revision)
    except (TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"config.json of {name} holds no configuration; train or download the model again.") from error
    if not isinstance(fields, dict):
        raise UserError(f"config.json of {name} holds a list or a value, and no configuration; download it again.")
    check_sizes(fields, f"config.json of {name}")
    return fields
