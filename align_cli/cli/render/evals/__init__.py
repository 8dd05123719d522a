"""What `align eval` prints."""
