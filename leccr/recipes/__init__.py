"""Recipes: a method's configuration and its training settings, written as YAML."""

from .load import list_recipes, list_towers, load_recipe, towers_without_download
from .recipe import Change, Recipe, override_training

__all__ = [
    "Change",
    "Recipe",
    "list_recipes",
    "list_towers",
    "load_recipe",
    "override_training",
    "towers_without_download",
]
