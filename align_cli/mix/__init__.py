"""The mixing layer: sources of rows in, one ordered sequence of rows out, the same bytes every time."""
