"""Files of `accelerate config`, in the words of our own `launch:` block."""
