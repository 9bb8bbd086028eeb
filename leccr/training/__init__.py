"""Training by a recipe, and what is computed ahead of it."""

from .train import make_trainer, run_training

__all__ = ["make_trainer", "run_training"]
