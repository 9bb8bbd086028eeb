"""Recipes: a method's configuration and its training settings, written as YAML."""

from .recipe import Recipe, list_recipes, list_towers, load_recipe

__all__ = ["Recipe", "list_recipes", "list_towers", "load_recipe"]
