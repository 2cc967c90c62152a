"""The Hydra tree: groups of settings and the scales that put them together."""
