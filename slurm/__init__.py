"""Stages of cells as SLURM jobs: submitted once, chained, requeued, looked at, cancelled. Knows nothing of training."""
