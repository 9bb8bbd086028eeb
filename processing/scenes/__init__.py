"""Scenes: a built-in data set of drawn pictures with captions in six languages."""

from .build import build_scenes

__all__ = ["build_scenes"]
