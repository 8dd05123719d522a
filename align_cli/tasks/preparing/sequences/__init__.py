"""Rows as sequences with labels, one by one or packed."""
