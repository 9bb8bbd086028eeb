"""Calibration: from the score of an answer to the probability that it is right, as a model's folder keeps it."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from transformers.utils import cached_file

from ..errors import UserError

CALIBRATION_FILE = "calibration.json"


@dataclass(frozen=True)
class Logistic:
    """A logistic curve, fitted to queries and whether their best answer was right.

    Attributes:
        slope: Of the score; never negative, so that a higher score is never less sure.
        intercept: Added to it.
        queries: Number of captions that it was fitted to.
    """

    slope: float
    intercept: float
    queries: int

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Return the probability that answers with these scores are right."""
        # Beyond 700, the exponential is more than a number can be.
        return 1.0 / (1.0 + np.exp(-np.clip(self.slope * scores + self.intercept, -700, 700)))


@dataclass(frozen=True)
class Calibration:
    """What a model's scores mean, by the language of the query.

    Attributes:
        overall: Fitted to the captions of all languages, for queries whose language cannot be told.
        languages: By language.
        pictures: Number of pictures among which the captions were searched.
        description_weight: Weight of descriptions in the views of a dual encoder; None where it is the model's affair.
        described: Share of the pictures that had a description; None where that changes nothing, or is not known.
    """

    overall: Logistic
    languages: Mapping[str, Logistic] = field(default_factory=dict)
    pictures: int = 0
    description_weight: float | None = None
    described: float | None = None

    def confidence(self, scores: np.ndarray, language: str | None = None) -> np.ndarray:
        """Return the probability, from 0 to 1, that answers with these scores are right.

        Args:
            scores: Of any shape.
            language: Language of the query; None if it is not known.
        """
        return self.languages.get(language or "", self.overall)(np.asarray(scores, dtype=np.float64))

    def to_fields(self) -> dict[str, Any]:
        """Return what `calibration.json` holds."""
        return asdict(self)

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "Calibration":
        """Read what `to_fields` returned.

        Raises:
            ValueError: If it is something else, or a number in it is impossible.
        """
        try:
            weight, described = _share(fields["description_weight"]), _share(fields.get("described"))
            return cls(
                _logistic(fields["overall"]),
                {str(language): _logistic(curve) for language, curve in fields["languages"].items()},
                int(fields["pictures"]),
                weight,
                described,
            )
        except (KeyError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f"it is no calibration: {error}") from error


def _share(value: Any) -> float | None:
    if value is not None and not 0 <= float(value) <= 1:
        raise ValueError(f"{value!r} is no share")
    return None if value is None else float(value)


def _logistic(fields: Mapping[str, Any]) -> Logistic:
    curve = Logistic(float(fields["slope"]), float(fields["intercept"]), int(fields["queries"]))
    if not (math.isfinite(curve.slope) and math.isfinite(curve.intercept) and curve.slope >= 0):
        raise ValueError("a slope or an intercept is impossible")
    return curve


def load_calibration(name: str | Path) -> Calibration | None:
    """Return the calibration in a model's folder or repository; None if there is none.

    Raises:
        UserError: If the file is damaged.
    """
    try:
        path = cached_file(name, CALIBRATION_FILE, _raise_exceptions_for_missing_entries=False)
        content = None if path is None else Path(path).read_bytes()
    except OSError:
        content = None
    if content is None:
        return None
    try:
        return Calibration.from_fields(json.loads(content))
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{CALIBRATION_FILE} of {name} is damaged; delete it, or write it again with `leccr evaluate {name} DATA "
            "--calibrate`."
        ) from error
