"""Exit codes of every command, and errors printed without a traceback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prefix_rft.errors import PrefixRftError
from prefix_rft.runs.atomic import DISK_TROUBLE, refused
from slurm.errors import SlurmError

FAILED = 1
REFUSED = 2
INTERRUPTED = 75


class CellsFailedError(PrefixRftError):
    """Some cells failed; the others went on."""


class CellsInterruptedError(PrefixRftError):
    """The command was stopped; what was running saved its work."""


@contextmanager
def exits() -> Iterator[None]:
    """Turn the user's errors into a message on standard error and an exit code.

    SystemExit passes through Hydra, which would report any other exception as its own with a traceback.
    """
    try:
        yield
    except KeyboardInterrupt:
        _leave("stopped", INTERRUPTED)
    except CellsInterruptedError as stop:
        _leave(str(stop), INTERRUPTED)
    except CellsFailedError as failure:
        _leave(str(failure), FAILED)
    except (PrefixRftError, SlurmError) as error:
        _leave(f"error: {error}", REFUSED)
    except OSError as error:  # of a disk, wherever something is written: a figure, a folder
        if error.errno not in DISK_TROUBLE:
            raise
        _leave(f"error: {refused(Path(error.filename or '.').absolute(), error)}", REFUSED)


def _leave(message: str, code: int) -> None:
    print(message, file=sys.stderr)
    raise SystemExit(code)
