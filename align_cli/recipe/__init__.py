"""Recipes: from a YAML file of anybody's words to one immutable, explained value."""
