"""Joins runs and SLURM: what `slurm` knows as cells and stages are runs, their training and their evaluation."""
