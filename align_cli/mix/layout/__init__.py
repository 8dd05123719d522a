"""What rows look like: every layout there is, and the shapes that they become."""
