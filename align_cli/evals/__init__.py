"""Answers of a model to a benchmark, judgments of them, and what they come to."""
