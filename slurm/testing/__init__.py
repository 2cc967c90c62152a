"""A real SLURM on this machine alone, for tests and for trying things out."""
