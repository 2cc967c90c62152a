"""The application, and what its commands share."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.overrides import DEFAULT_SWEEP

if TYPE_CHECKING:
    from rich.console import Console

_PLAIN_WIDTH = 160

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Prefix-RFT and its rivals: run, watch and compare. Training runs start with "
    "`python -m experiments.run --help`.",
)

Overrides = Annotated[
    list[str] | None,
    typer.Argument(help="Settings as on the command line of experiments.run, e.g. scale=toy store=runs."),
]
StoreOption = Annotated[Path, typer.Option("--store", help="Folder that holds the runs.")]
RunIds = Annotated[list[str] | None, typer.Argument(metavar="RUN", help="Run ids, or their beginnings.")]
ClusterOption = Annotated[
    str | None, typer.Option("--cluster", help="Another profile than that of the last submission.")
]
OutOption = Annotated[Path, typer.Option("--out", help="Folder for the report.")]
SweepAndOverrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SWEEP|OVERRIDE",
        help=f"A file of sweeps/ without .yaml ({DEFAULT_SWEEP} if none is named), then settings, e.g. store=runs.",
    ),
]


def console() -> Console:
    """Standard output; wide where it is not a terminal, so that rows stay whole in files and pipes."""
    from experiments.plain_console import PlainConsole

    found = PlainConsole()
    return found if found.is_terminal else PlainConsole(width=_PLAIN_WIDTH)


def today() -> str:
    """The date in UTC."""
    return datetime.now(UTC).date().isoformat()
