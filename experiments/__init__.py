"""The front door: the Hydra tree, stages, launchers and the command line."""
