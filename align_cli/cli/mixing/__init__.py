"""What `align mix` does."""
