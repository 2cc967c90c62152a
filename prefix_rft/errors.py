"""Errors a user can act on: what is wrong, which thing, what to do next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from prefix_rft.visible import visible


class PrefixRftError(Exception):
    """Base of every error that is the user's to mend; the command line prints it without a traceback.

    Its text may quote a data set or a file: what would be invisible there, or move a cursor, is written out.
    """

    def __str__(self) -> str:
        return visible(super().__str__())


class SettingsError(PrefixRftError):
    """A setting is unknown, of the wrong type, out of range, or contradicts another."""


class DataError(PrefixRftError):
    """A file of questions, demonstrations or responses cannot be used as it is."""


class GradingError(PrefixRftError):
    """A reward or an evaluation cannot be graded as asked."""


class RunError(PrefixRftError):
    """A run directory cannot be used: locked, damaged, of another run, or not there."""


class RunLockedError(RunError):
    """Another live process holds the run directory."""


class LockLostError(RunLockedError):
    """The run's lock is no longer this process's, though it never gave it back."""


class CheckpointError(RunError):
    """A checkpoint is missing, damaged, or belongs to another run."""


class TrainingError(PrefixRftError):
    """Training cannot go on: a loss that is not finite, an architecture or a device that is not supported."""


class OutOfMemoryError(PrefixRftError):
    """A run was refused memory."""


class DivergedError(TrainingError):
    """A model's probabilities are not numbers: nothing can be sampled from it."""


def nearest(name: str, choices: Iterable[str], cutoff: float = 0.5) -> str | None:
    """The choice most alike `name`, or None where nothing reaches the cutoff (0: whatever is least unlike)."""
    close = difflib.get_close_matches(name, list(choices), n=1, cutoff=cutoff)
    return close[0] if close else None


def unknown(kind: str, name: str, choices: Iterable[str]) -> str:
    """One sentence that names the unknown thing, the nearest known one and all the choices."""
    known = sorted(choices)
    guess = nearest(name, known)
    hint = f" Did you mean {guess!r}?" if guess else ""
    return f"unknown {kind} {name!r}.{hint} Known: {', '.join(known)}."
