"""`prefix-rft plan SWEEP hydra/launcher=slurm cluster=NAME`: the scripts and dependencies, with nothing submitted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from experiments.cluster.launch import Asked, Results, book, cluster_named, terms
from experiments.cluster.requests import Requests, jobs_of
from experiments.names import names
from experiments.overrides import LAUNCHER, OF_THE_LAUNCHER
from experiments.plan import plan
from experiments.selection import select
from prefix_rft.errors import SettingsError
from slurm.arrays import Draft
from slurm.book import FOLDER
from slurm.commands import Slurm
from slurm.errors import CommandError
from slurm.snapshot import CODE, digest, files
from slurm.submit import rehearse


def of_slurm(overrides: Sequence[str]) -> tuple[str | None, list[str]]:
    """The cluster's profile where a command line asks for SLURM, and its other overrides.

    Raises:
        SettingsError: a cluster without the launcher, or the other way round.
    """
    rest = [override for override in overrides if not _is_about_slurm(override)]
    given = dict(override.split("=", 1) for override in overrides if _is_about_slurm(override))
    chosen = given.get(LAUNCHER) or given.get("launcher")
    cluster = given.get("cluster") or given.get(OF_THE_LAUNCHER["cluster"])
    if chosen is None and cluster is None:
        return None, rest
    if chosen != "slurm":
        raise SettingsError(f"cluster={cluster} belongs to {LAUNCHER}=slurm: add it")
    return cluster_named(cluster), rest


def dry_run(
    sweeps: Sequence[str],
    overrides: Sequence[str],
    cluster: str,
    console: Console,
    *,
    slurm: Slurm | None = None,
) -> int:
    """Print every array that would be submitted now: its runs, and the exact script."""
    selections = [select(name, overrides) for name in sweeps]
    configs = [config for selection in selections for config in selection.configs]
    store, tasks = selections[0].store, plan(configs).tasks
    asked = Asked(cluster, at_a_time=configs[0].launcher.workers)
    slurm = slurm or Slurm()

    def rehearsed(cluster: Slurm | None) -> list[tuple[Draft, str]]:
        jobs, how = jobs_of(tasks, Requests(store)), terms(asked.profile, asked)
        done, code = Results(store, tasks), _snapshot(store.root.absolute())
        return rehearse(cluster, book(store), jobs, how, is_done=done, code=code)

    try:
        drafts = rehearsed(slurm)
    except CommandError as error:
        console.print(
            f"the cluster is not asked ({error}): nothing counts as queued", style="dim", markup=False
        )
        drafts = rehearsed(None)
    named = names(tasks)
    for number, (draft, script) in enumerate(drafts, start=1):
        console.rule(f"array {number}: {draft.entry.stage} of {len(draft.jobs)} runs", align="left")
        for index, job in draft.jobs.items():
            console.print(f"{index:>5}  {job.cell}  {named[job.cell]}", highlight=False, markup=False)
        console.print(script, highlight=False, markup=False, soft_wrap=True)
    jobs_in_all = sum(len(draft.jobs) for draft, _ in drafts)
    console.print(
        f"{len(drafts)} arrays, {jobs_in_all} jobs, then one that mirrors and reports; nothing was submitted",
        highlight=False,
    )
    return 0


def _snapshot(store: Path) -> Path:
    """Where the code would be copied to, as it is now."""
    listed = [name for name in files(CODE) if not (CODE / name).is_relative_to(store)]
    return store / FOLDER / "snapshots" / digest(CODE, listed)


def _is_about_slurm(override: str) -> bool:
    key = override.partition("=")[0].lstrip("+")
    own = {LAUNCHER, *OF_THE_LAUNCHER, *OF_THE_LAUNCHER.values()}
    return "=" in override and (key in own or override == "launcher=slurm")
