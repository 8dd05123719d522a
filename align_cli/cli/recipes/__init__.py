"""What `align recipe` and `align task` do."""
