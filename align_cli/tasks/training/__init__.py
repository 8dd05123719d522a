"""The work itself: TRL's trainers with whole checkpoints, exact resuming and lean steps."""
