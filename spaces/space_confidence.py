"""How sure an answer is, by the calibration that a model's folder or repository may hold."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from space_languages import LanguageDetector

FILE = "calibration.json"


class Calibration:
    """Logistic curves from the score of an answer to the probability that it is right.

    Args:
        overall: Slope and intercept for queries whose language cannot be told.
        languages: Those of each language.
    """

    def __init__(self, overall: tuple[float, float], languages: dict[str, tuple[float, float]]) -> None:
        self.overall = overall
        self.languages = languages
        self._detector = LanguageDetector(list(languages)) if len(languages) > 1 else None

    def confidence(self, scores: list[float], text: str) -> list[float]:
        """Return the probability, from 0 to 1, that answers to a text with these scores are right."""
        language = None if self._detector is None else self._detector.detect(text)
        slope, intercept = self.languages.get(language or "", self.overall)
        logits = np.clip(slope * np.asarray(scores, dtype=np.float64) + intercept, -700, 700)
        return (1 / (1 + np.exp(-logits))).tolist()


def read_calibration(path: Path | None) -> Calibration | None:
    """Return what `calibration.json` holds; None if there is none, or it is for other scores or damaged."""
    try:
        fields = {} if path is None else json.loads(path.read_text(encoding="utf-8"))
        # Then the sentences of descriptions count in the scores, which they do not here.
        if not fields or fields["description_weight"] is not None:
            return None
        curves = {str(code): _curve(curve) for code, curve in fields["languages"].items()}
        return Calibration(_curve(fields["overall"]), curves)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return None


def _curve(fields: Any) -> tuple[float, float]:
    slope, intercept = float(fields["slope"]), float(fields["intercept"])
    if not (math.isfinite(slope) and math.isfinite(intercept) and slope >= 0):
        raise ValueError("no such curve")
    return slope, intercept
