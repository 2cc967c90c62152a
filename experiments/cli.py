"""The command line `prefix-rft`. Imports nothing heavy, so that help and status answer at once."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from experiments.exits import exits

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
SweepArgument = Annotated[str, typer.Argument(help="A file of sweeps/, without .yaml.")]


@app.command()
def demo(overrides: Overrides = None, out: OutOption = Path("report")) -> None:
    """Train SFT, RFT, SFT->RFT and Prefix-RFT on the embedded task, print the table, write a report."""
    from rich.console import Console

    with exits():
        from experiments.commands.demo import demo as run_demo

        raise typer.Exit(run_demo(overrides or [], out, _today(), Console()))


@app.command()
def status(store: StoreOption = Path("runs")) -> None:
    """Show every run: state, step, reward, accuracy, age, and why it failed."""
    from rich.console import Console

    with exits():
        from analysis import render
        from analysis.status import status_rows, status_table
        from prefix_rft.runs.store import Store

        rows = status_rows(Store(store), datetime.now(UTC))
        Console().print(render.rich_renderable(status_table(rows)))


@app.command()
def table(sweep: SweepArgument = "main_results", overrides: Overrides = None) -> None:
    """Print a sweep's table as it stands."""
    from rich.console import Console

    with exits():
        from experiments.commands.report import table as print_table

        raise typer.Exit(print_table(sweep, overrides or [], Console()))


@app.command()
def report(
    sweep: SweepArgument = "main_results", overrides: Overrides = None, out: OutOption = Path("report")
) -> None:
    """Write a sweep's report: Markdown, CSV, LaTeX, figures."""
    from rich.console import Console

    with exits():
        from experiments.commands.report import report as write

        raise typer.Exit(write(sweep, overrides or [], out, _today(), Console()))


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
    workers: Annotated[int, typer.Option(min=1, help="Grading processes.")] = 1,
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
        str | None, typer.Option(help="Model folder or hub name whose tokenizer measures the lengths.")
    ] = None,
) -> None:
    """Count questions and demonstrations of a data set and list what cannot be used."""
    with exits():
        from experiments.commands.check_data import check_data as check
        from experiments.compose import compose
        from prefix_rft.data.encode import load_encoder

        config = compose(overrides or [])
        encoder = load_encoder(tokenizer) if tokenizer else None
        raise typer.Exit(check(config.data, encoder))


def main() -> None:
    """Entry point."""
    app()


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


if __name__ == "__main__":
    main()
