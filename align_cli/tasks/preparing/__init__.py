"""Rows of the mixture become token ids and loss masks, in the store; nothing here imports torch."""
