"""The room for submitting stages to SLURM. Nothing is submitted from here yet: runs start on the local machine."""
