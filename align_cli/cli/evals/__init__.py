"""What `align eval` does."""
