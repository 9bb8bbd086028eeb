"""LECCR: search images and videos in your own language.

The public names are imported at their first use, so that `import leccr` loads neither torch nor transformers.
"""

import importlib
import importlib.util
from pathlib import Path
from typing import Any

__version__ = "0.1.0"

_MODULE_OF = {
    "CaptionCollator": "processing",
    "CrossLingualConfig": "modeling_leccr",
    "CrossLingualModel": "modeling_leccr",
    "CrossLingualOutput": "modeling_leccr",
    "Encoder": "leccr.models.encoder",
    "Gallery": "leccr.gallery",
    "LeccrConfig": "modeling_leccr",
    "LeccrModel": "modeling_leccr",
    "LeccrOutput": "modeling_leccr",
    "LeccrProcessor": "processing",
    "ModelEncoder": "leccr.models.model_encoder",
    "RetrievalCollator": "processing",
    "UserError": "leccr.errors",
    "evaluate_retrieval": "leccr.evaluation.evaluate",
    "evaluate_sentences": "leccr.evaluation.evaluate",
}

__all__ = ["__version__", *_MODULE_OF]


def _check_processing() -> None:
    """Fail early where another `processing`, which is a common name, shadows this one.

    Raises:
        ImportError: The `processing` that Python finds is not the one installed next to this package.
    """
    own = Path(__file__).resolve().parents[1] / "processing" / "__init__.py"
    spec = importlib.util.find_spec("processing")
    if spec is None:
        raise ImportError(f"leccr needs its package processing, which is missing at {own.parent}: reinstall leccr.")
    # A folder without __init__.py has no origin.
    found = Path(spec.origin or next(iter(spec.submodule_search_locations or [])))
    if found.resolve() != own:
        raise ImportError(
            f"leccr needs its own package processing ({own}), but Python finds {found} first: rename that file, or "
            "start Python elsewhere."
        )


_check_processing()


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'leccr' has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
