"""Run directories: what is in one, whose it is, and what is left behind when a run has finished."""
