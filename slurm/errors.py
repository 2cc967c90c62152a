"""Errors a user can act on: what SLURM refused, and what to do next."""

from __future__ import annotations


class SlurmError(Exception):
    """Base of every error of this room; the command line prints it without a traceback."""


class ProfileError(SlurmError):
    """A cluster profile is unknown, malformed, or cannot do what is asked."""


class CommandError(SlurmError):
    """A command of SLURM is missing, failed, or did not answer."""

    def __init__(self, message: str, *, unsure: bool = False) -> None:
        """`unsure`: whether it may have done what it was asked nevertheless."""
        super().__init__(message)
        self.unsure = unsure


class SubmissionError(SlurmError):
    """Jobs could not be submitted, or not all of them; what was submitted is on record."""
