"""Models opened to be spoken to."""
