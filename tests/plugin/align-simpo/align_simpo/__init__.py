"""Simple preference optimisation for align."""
