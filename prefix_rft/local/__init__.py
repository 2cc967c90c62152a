"""The embedded trainer: one process, one device, PyTorch."""
