"""Models on this machine: where they are, their tokenizers and their chat templates."""
