"""Adapters: the chain to their base, whether they fit, and how they become one with it."""
