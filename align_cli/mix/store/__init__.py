"""Finished mixtures: their address, their folder, their lock, and what changed between two of them."""
