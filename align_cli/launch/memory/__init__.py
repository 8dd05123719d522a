"""How much memory a run will need on each device, by arithmetic from the model's shape and the recipe; no torch."""
