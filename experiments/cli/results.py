"""Commands that show what runs found."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from experiments.cli.common import OutOption, SweepAndOverrides, app, console, today
from experiments.exits import exits
from experiments.overrides import DEFAULT_SWEEP

PANEL = "Results"


@app.command(rich_help_panel=PANEL)
def table(asked: SweepAndOverrides = None) -> None:
    """Print a sweep's table as it stands."""
    with exits():
        from experiments.commands.asked import sweep_and_overrides
        from experiments.commands.report import table as print_table

        raise typer.Exit(print_table(*sweep_and_overrides(asked or []), console()))


@app.command(rich_help_panel=PANEL)
def report(
    asked: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SWEEP|OVERRIDE",
            help="A file of sweeps/ without .yaml, or several (every sweep of which the store has runs if none is "
            "named), then settings, e.g. store=runs.",
        ),
    ] = None,
    out: OutOption = Path("report"),
) -> None:
    """Write the report of one sweep or of all: tables (Markdown, CSV, LaTeX), figures, one HTML page."""
    with exits():
        from experiments.commands.asked import any_sweeps_and_overrides
        from experiments.commands.report import report as write
        from experiments.commands.reports import report_begun

        names, overrides = any_sweeps_and_overrides(asked or [])
        if len(names) == 1:
            raise typer.Exit(write(names[0], overrides, out, today(), console()))
        raise typer.Exit(report_begun(overrides, names, out, today(), console()))


@app.command(rich_help_panel=PANEL)
def dashboards(
    asked: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SWEEP|OVERRIDE",
            help=f"Files of sweeps/, or `all` ({DEFAULT_SWEEP} if none is named), then settings, e.g. tracking=online.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for what is not sent to a server.")] = Path(
        "dashboards"
    ),
) -> None:
    """Make a W&B workspace for each sweep and a report over them: on a server (tracking=online), or as files."""
    with exits():
        from experiments.commands.asked import sweeps_and_overrides
        from experiments.commands.dashboards import dashboards as make

        raise typer.Exit(make(*sweeps_and_overrides(asked or []), out, console()))


@app.command(rich_help_panel=PANEL)
def notebooks(
    asked: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME|OVERRIDE", help="Notebooks (all if none is named), then settings, e.g. store=runs."
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for them.")] = Path("notebooks"),
    limit: Annotated[int, typer.Option("--limit", min=1, help="Seconds for one cell.")] = 600,
) -> None:
    """Execute the notebooks of analysis/notebooks against a store; write each as .ipynb and as one HTML page."""
    with exits():
        from experiments.commands.notebooks import notebooks as execute

        raise typer.Exit(execute(asked or [], out, console(), limit=limit))
