"""Rows on disk, written once as they are read and once in their final order."""
