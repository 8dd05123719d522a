"""Jobs for a cluster's scheduler: what `align launch slurm` and `align launch sky` write."""
