"""Runs read back, whatever state they are in: found, listed, told, compared, drawn."""
