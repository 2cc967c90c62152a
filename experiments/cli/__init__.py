"""The command line `prefix-rft`. Imports nothing heavy, so that help and status answer at once."""

from experiments.cli.common import app

# isort: off
# Each adds its commands, which the help lists in this order.
from experiments.cli import runs as runs
from experiments.cli import results as results
from experiments.cli import evaluation as evaluation
from experiments.cli import data as data

# isort: on


def main() -> None:
    """Entry point."""
    app()
