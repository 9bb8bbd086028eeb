"""Configurations and figures as training and evaluation write them, made up."""

from typing import Any

CONFIG: dict[str, Any] = {
    "model_type": "leccr",
    "projection_dim": 256,
    "num_slots": 4,
    "slot_anchor": "text",
    "alpha": 0.8,
    "transfer_weight": 0.0,
    "vision_config": {"model_type": "clip_vision_model"},
    "text_config": {"model_type": "bert"},
}
TEXT_ONLY: dict[str, Any] = {"model_type": "leccr_cross_lingual", "projection_dim": 256}
PROTOCOL = {
    "images": 1000,
    "captions": 5000,
    "captions_per_image": 5.0,
    "caption_origin": ["human"],
    "images_with_description": 1000,
    "hit_rate": "share of queries with a right answer among the first k",
    "ties": "count against the model",
    "score": "max over views",
    "checkpoint": "runs/a",
    "data": "data/multi30k",
    "split": "test",
}


def figures(directions: tuple[str, str] = ("text_to_image", "image_to_text"), start: float = 20.0) -> dict[str, float]:
    """Return figures that differ from each other, and their true sum."""
    figures: dict[str, float] = {}
    for index, direction in enumerate(directions):
        for number, cutoff in enumerate((1, 5, 10)):
            figures[f"{direction}_hit_rate_{cutoff}"] = start + 10 * number + 5 * index + 0.123
        figures[f"{direction}_median_rank"] = 3.0 + index
        figures[f"{direction}_mean_average_precision"] = 40.0
    return figures | {"sum_of_hit_rates": sum(value for name, value in figures.items() if "hit_rate" in name)}


def result(language: str = "de", start: float = 20.0, **protocol: Any) -> dict[str, Any]:
    """Return what `leccr evaluate --out` writes for a language."""
    return {"language": language, **figures(start=start), "protocol": {**PROTOCOL, **protocol}}


def sentence_result(language: str = "de") -> dict[str, Any]:
    """Return the same for a text-only model."""
    protocol = {
        "rows": 200,
        "source_captions": 1000,
        "target_captions": 900,
        "caption_origin": ["machine:test"],
        **{name: PROTOCOL[name] for name in ("hit_rate", "ties", "score", "data", "split")},
    }
    return {"language": language, **figures(("target_to_source", "source_to_target")), "protocol": protocol}


def training(**fields: Any) -> dict[str, Any]:
    """Return a training report with validation figures in English and German."""
    validation = {
        f"eval_{language}_{name}": value
        for language, start in (("en", 40.0), ("de", 30.0))
        for name, value in figures(start=start).items()
    }
    report: dict[str, Any] = {
        "recipe": "leccr",
        "steps": 1234,
        "seconds": 689.1,
        "selection": "best validation sum_of_hit_rates, averaged over languages",
        "validation": {**validation, "eval_loss": 1.0, "eval_sum_of_hit_rates": 250.0},
    }
    return {**report, **fields}
