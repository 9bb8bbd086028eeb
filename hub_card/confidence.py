"""The section of a card that says what a model's scores mean."""

from collections.abc import Mapping
from typing import Any

from processing.languages import language_name

from .tables import markdown_table


def confidence_section(calibration: Mapping[str, Any]) -> str:
    """Return what `calibration.json` says, as Markdown."""
    curves = {language_name(code): curve for code, curve in calibration["languages"].items()}
    rows = [_row(name, curve) for name, curve in {**curves, "all together": calibration["overall"]}.items()]
    weight = calibration["description_weight"]
    views = "" if weight is None else f" The sentences of descriptions had the weight {weight:g}."
    described = calibration.get("described")
    if described is not None:
        views += f" Of these pictures {described:.0%} had a description; without one, scores mean something else."
    return (
        "Nearest neighbours always answer. How sure an answer with a score *s* is, is estimated as "
        "1 / (1 + exp(−(slope · *s* + intercept))), by the language of the query:\n\n"
        f"{markdown_table(rows, 1)}\n\n"
        f"Fitted to captions whose own picture was searched among {calibration['pictures']:,} pictures, and again with "
        "it taken out: right is only the caption's own picture, although others may fit as well, and half of the "
        f"queries have no right answer. In a gallery of another kind or size it is a rough guide.{views} The numbers "
        "are in `calibration.json`."
    )


def _row(name: str, curve: Mapping[str, Any]) -> dict[str, str]:
    slope, intercept = curve["slope"], curve["intercept"]
    return {
        "queries in": name,
        "slope": f"{slope:.2f}",
        "intercept": f"{intercept:.2f}",
        "score of an even chance": f"{-intercept / slope:.3f}" if slope else "none",
        "captions": f"{curve['queries']:,}",
    }
