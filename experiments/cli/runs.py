"""Commands that plan, train and look after runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from experiments.cli.common import (
    ClusterOption,
    OutOption,
    Overrides,
    RunIds,
    StoreOption,
    app,
    console,
    today,
)
from experiments.exits import exits
from experiments.overrides import DEFAULT_SWEEP

PANEL = "Runs"


@app.command(rich_help_panel=PANEL)
def demo(overrides: Overrides = None, out: OutOption = Path("report")) -> None:
    """Train SFT, RFT, SFT->RFT and Prefix-RFT on the embedded task, print the table, write a report."""
    with exits():
        from experiments.commands.demo import demo as run_demo

        raise typer.Exit(run_demo(overrides or [], out, today(), console()))


@app.command(rich_help_panel=PANEL)
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
    """Show what sweeps would run, what of it is done, and what the rest costs; run nothing.

    With hydra/launcher=slurm cluster=NAME also the exact batch scripts and what waits for what.
    """
    with exits():
        from experiments.commands.asked import sweeps_and_overrides
        from experiments.commands.dry_run import dry_run, of_slurm
        from experiments.commands.plan import plan as print_plan

        sweeps, given = sweeps_and_overrides(asked or [])
        cluster, overrides = of_slurm(given)
        code = print_plan(sweeps, overrides, console(), every_run=every_run)
        raise typer.Exit(code if cluster is None else dry_run(sweeps, overrides, cluster, console()))


@app.command(rich_help_panel=PANEL)
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

        raise typer.Exit(run_all(sweeps_of(only), overrides or [], out, today(), console()))


@app.command(rich_help_panel=PANEL)
def status(store: StoreOption = Path("runs")) -> None:
    """Show every run: state, step, reward, accuracy, age, its SLURM job, and why it failed."""
    with exits():
        from experiments.commands.slurm_jobs import status as print_status
        from prefix_rft.runs.store import Store

        raise typer.Exit(print_status(Store(store), console()))


@app.command(rich_help_panel=PANEL)
def resume(runs: RunIds = None, store: StoreOption = Path("runs"), cluster: ClusterOption = None) -> None:
    """Submit to SLURM again what failed or was lost, and nothing else."""
    with exits():
        from experiments.commands.slurm_jobs import resume as submit_again
        from prefix_rft.runs.store import Store

        raise typer.Exit(submit_again(Store(store), runs or [], cluster, console()))


@app.command(rich_help_panel=PANEL)
def cancel(
    runs: RunIds = None,
    store: StoreOption = Path("runs"),
    everything: Annotated[bool, typer.Option("--all", help="Every job of the store.")] = False,
) -> None:
    """End the SLURM jobs of runs; what runs saves its work first."""
    with exits():
        from experiments.commands.slurm_jobs import cancel as end_jobs
        from prefix_rft.runs.store import Store

        raise typer.Exit(end_jobs(Store(store), runs or [], everything, console()))


@app.command(rich_help_panel=PANEL)
def logs(
    run: Annotated[str, typer.Argument(help="A run's id, or its beginning.")],
    store: StoreOption = Path("runs"),
    lines: Annotated[int, typer.Option("-n", min=1, help="Lines of each file.")] = 40,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Until the run is over; Ctrl-C ends only this.")
    ] = False,
) -> None:
    """Print the end of a run's log and of its SLURM jobs' logs."""
    with exits():
        from experiments.commands.slurm_jobs import follow_logs
        from experiments.commands.slurm_jobs import logs as print_logs
        from prefix_rft.runs.store import Store

        if follow:
            raise typer.Exit(follow_logs(Store(store), run, lines))
        raise typer.Exit(print_logs(Store(store), run, lines, console()))


@app.command(rich_help_panel=PANEL)
def doctor(
    cluster: Annotated[str, typer.Argument(help="A profile of slurm/clusters, or a .yaml file.")],
    overrides: Overrides = None,
) -> None:
    """Compare a cluster's profile with the live cluster and say what to change; ends with 1 if something is."""
    with exits():
        from experiments.commands.doctor import doctor as examine

        raise typer.Exit(examine(cluster, overrides or [], console()))


@app.command(rich_help_panel=PANEL)
def audit(
    backend: Annotated[
        str, typer.Option(help="local, local_general, or verl where it is installed.")
    ] = "local",
    method: Annotated[
        list[str] | None, typer.Option("--method", help="A method; repeat it. All if not given.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every figure here.")] = None,
) -> None:
    """Check that no method's update depends on how its gradients are accumulated; ends with 1 if one does."""
    with exits():
        from experiments.commands.audit import audit as run_audit

        raise typer.Exit(run_audit(backend, method or [], json_path=json_file, console=console()))
