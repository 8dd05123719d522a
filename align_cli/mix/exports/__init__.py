"""Mixtures as files that other tools read."""
