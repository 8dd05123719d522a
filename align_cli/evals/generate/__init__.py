"""Answers of a model to a benchmark's questions, made on this machine: many at once, each as if it were alone."""
