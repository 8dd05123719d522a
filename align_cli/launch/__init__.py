"""What this host has, what a recipe asks of it, and what will therefore be executed."""
