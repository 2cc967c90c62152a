"""Prefix-RFT and its rivals: the core library, without Hydra and without a scheduler."""

__version__ = "0.1.0"
