"""What `align train` and `align quickstart` do, step by step."""
