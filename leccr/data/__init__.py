"""Data sets on disk: loading them, preparing them, and adding descriptions and translations."""

from .loading import load_data

__all__ = ["load_data"]
