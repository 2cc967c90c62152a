"""A CPU for verl, for tests and first steps on a laptop: platform, engine, inference; never on GPUs.

The order counts: verl imports this package at the end of its own start (`VERL_USE_EXTERNAL_MODULES`), and asks for its
platform as soon as anything else of it is imported.
"""

from prefix_rft.verl_backend.testing import platform  # isort: skip
from prefix_rft.verl_backend.testing import engine, inference  # isort: skip

__all__ = ["engine", "inference", "platform"]
