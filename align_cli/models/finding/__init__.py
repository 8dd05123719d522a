"""Where a model lies and what its files say; nothing here imports torch, but in child processes."""
