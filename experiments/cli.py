"""The command line `prefix-rft`. Imports nothing heavy, so that help and status answer at once."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.exits import exits

if TYPE_CHECKING:
    from rich.console import Console

_PLAIN_WIDTH = 160
DEFAULT_SWEEP = "main_results"

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
OutOption = Annotated[Path, typer.Option("--out", help="Folder for the report.")]
SweepAndOverrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SWEEP|OVERRIDE",
        help=f"A file of sweeps/ without .yaml ({DEFAULT_SWEEP} if none is named), then settings, e.g. store=runs.",
    ),
]


@app.command()
def demo(overrides: Overrides = None, out: OutOption = Path("report")) -> None:
    """Train SFT, RFT, SFT->RFT and Prefix-RFT on the embedded task, print the table, write a report."""
    with exits():
        from experiments.commands.demo import demo as run_demo

        raise typer.Exit(run_demo(overrides or [], out, _today(), _console()))


@app.command()
def plan(
    asked: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SWEEP|OVERRIDE",
            help=f"Files of sweeps/ as name or +sweep=name, or `all` ({DEFAULT_SWEEP} if none is named), then "
            "settings, e.g. scale=paper.",
        ),
    ] = None,
    every_run: Annotated[bool, typer.Option("--runs", help="List every run too.")] = False,
) -> None:
    """Show what sweeps would run, what of it is done, and what the rest costs; run nothing."""
    with exits():
        from experiments.commands.asked import sweeps_and_overrides
        from experiments.commands.plan import plan as print_plan

        raise typer.Exit(print_plan(*sweeps_and_overrides(asked or []), _console(), every_run=every_run))


@app.command()
def reproduce(
    overrides: Overrides = None,
    only: Annotated[
        str | None, typer.Option("--only", help="Sweeps, separated by commas; all of them if not given.")
    ] = None,
    out: OutOption = Path("report"),
) -> None:
    """Run every sweep, each distinct run once, and rebuild every table and figure; start again to continue."""
    with exits():
        from experiments.commands.asked import sweeps_of
        from experiments.commands.reproduce import reproduce as run_all

        raise typer.Exit(run_all(sweeps_of(only), overrides or [], out, _today(), _console()))


@app.command()
def status(store: StoreOption = Path("runs")) -> None:
    """Show every run: state, step, reward, accuracy, age, and why it failed."""
    with exits():
        from analysis import render
        from analysis.status import status_rows, status_table
        from prefix_rft.runs.store import Store

        rows = status_rows(Store(store), datetime.now(UTC))
        if rows:
            _console().print(render.rich_renderable(status_table(rows)))
        else:
            print(
                f"no runs in {store.absolute()}; start some with `python -m experiments.run`, or choose --store"
            )


@app.command()
def table(asked: SweepAndOverrides = None) -> None:
    """Print a sweep's table as it stands."""
    with exits():
        from experiments.commands.asked import sweep_and_overrides
        from experiments.commands.report import table as print_table

        raise typer.Exit(print_table(*sweep_and_overrides(asked or []), _console()))


@app.command()
def report(asked: SweepAndOverrides = None, out: OutOption = Path("report")) -> None:
    """Write a sweep's report: Markdown, CSV, LaTeX, figures."""
    with exits():
        from experiments.commands.asked import sweep_and_overrides
        from experiments.commands.report import report as write

        raise typer.Exit(write(*sweep_and_overrides(asked or []), out, _today(), _console()))


@app.command()
def grade(
    files: Annotated[list[Path], typer.Argument(help="JSONL files whose rows have gold, response, correct.")],
    extract: Annotated[
        list[str] | None, typer.Option("--extract", help="Extraction rule; repeat it for a cascade.")
    ] = None,
    marker: Annotated[
        list[str] | None, typer.Option("--marker", help="What may stand before an answer; repeat it.")
    ] = None,
    verifier: Annotated[str, typer.Option(help="math_verify or exact.")] = "math_verify",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Grading processes; one a core, 8 at most, if not given.")
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds for one verdict.")] = 5.0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the verdicts here.")] = None,
    show: Annotated[int, typer.Option("--list", min=0, help="Disagreements shown.")] = 20,
) -> None:
    """Grade labelled responses and print the agreement with their labels."""
    with exits():
        from experiments.commands import grade as command

        code = command.grade(
            files,
            extract=extract or command.RULES,
            markers=marker or command.MARKERS,
            verifier=verifier,
            workers=workers,
            timeout_seconds=timeout,
            json_path=json_file,
            show=show,
        )
        raise typer.Exit(code)


@app.command("check-data")
def check_data(
    overrides: Overrides = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            help="Model folder or hub name whose tokenizer measures the lengths, if not that of `model`."
        ),
    ] = None,
) -> None:
    """Count questions and demonstrations of a data set and list what cannot be used."""
    with exits():
        from experiments.commands import check_data as command

        raise typer.Exit(command.check_data(*command.prepare(overrides or [], tokenizer)))


@app.command()
def audit(
    backend: Annotated[
        str, typer.Option(help="local, local_general, or another that is installed.")
    ] = "local",
    method: Annotated[
        list[str] | None, typer.Option("--method", help="A method; repeat it. All if not given.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every figure here.")] = None,
) -> None:
    """Check that no method's update depends on how its gradients are accumulated; ends with 1 if one does."""
    with exits():
        from experiments.commands.audit import audit as run_audit

        raise typer.Exit(run_audit(backend, method or [], json_path=json_file, console=_console()))


def main() -> None:
    """Entry point."""
    app()


def _console() -> Console:
    """Standard output; wide where it is not a terminal, so that rows stay whole in files and pipes."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=_PLAIN_WIDTH)


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


if __name__ == "__main__":
    main()
