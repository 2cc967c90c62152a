"""`python -m experiments.cli` is `prefix-rft`."""

from experiments.cli import main

main()
