"""Data sets on disk: loading them, preparing them, and adding descriptions and translations."""
