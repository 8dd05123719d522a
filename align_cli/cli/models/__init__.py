"""What `align model` and `align chat` do."""
