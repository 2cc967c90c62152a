"""`prefix-rft dashboards`: a W&B workspace for each sweep, and a report over them, on a server or as files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rich.console import Console

from analysis.dashboards import Dashboard, dashboard
from experiments.commands.report import commands
from experiments.mirroring import label, mirror_behind
from experiments.selection import Selection, select
from prefix_rft.errors import SettingsError
from prefix_rft.runs.identity import evaluation_folder
from prefix_rft.runs.store import RunDir
from prefix_rft.runs.tracking_tables import find_evaluated, score_name
from prefix_rft.settings import RunConfig
from prefix_rft.settings.tracking import TrackingSettings

_SHARES = ("mean_tokens", "truncated_share", "no_answer_share")


def dashboards(sweeps: Sequence[str], overrides: Sequence[str], folder: Path, console: Console) -> int:
    """Label the runs that are there, show the labels, and save or write the dashboards.

    Args:
        sweeps: files of sweeps/.
        overrides: as on the command line.
        folder: for the specifications, where tracking is not online.
        console: says what was done.

    Raises:
        SettingsError: the sweeps' runs go to different projects, or nowhere.
        ServerError: tracking is online, and the server refuses; the specifications are in the folder.
    """
    selections = [select(name, overrides) for name in sweeps]
    tracking = _tracking(selections)
    runs = _label(selections)
    store, modes = selections[0].store, {run.path: run.config().tracking.wandb for run in runs}
    mirror_behind(store, [path for path, mode in modes.items() if mode == tracking.wandb])
    console.print(f"{len(runs)} runs labelled with their rows")
    made = [_dashboard(selection, tracking) for selection in selections]
    if tracking.wandb == "online":
        _save(made, folder, console)
    else:
        _write(made, folder, console)
        console.print("nothing was sent: tracking is offline (tracking=online saves to the server)")
    if "offline" in modes.values():
        console.print(f"runs that were mirrored to files reach a server by: wandb sync {store.root}/*/wandb")
    return 0


def _tracking(selections: Sequence[Selection]) -> TrackingSettings:
    found = {config.tracking for selection in selections for config in selection.configs}
    places = {(one.wandb, one.project, one.entity) for one in found}
    if len(places) > 1:
        raise SettingsError(
            "the sweeps' cells differ in tracking.wandb, .project or .entity; give one for all"
        )
    tracking = found.pop()
    if tracking.wandb == "disabled":
        raise SettingsError(
            "tracking=disabled: these runs are not mirrored to W&B, so it has nothing to show"
        )
    return tracking


def _label(selections: Sequence[Selection]) -> list[RunDir]:
    """Write each run's row and tags beside it; returns the runs that are there."""
    found: dict[str, RunDir] = {}
    for selection in selections:
        there = {run.id: run for run in selection.store.runs()}
        for cell in selection.cells:
            if cell.run_id in there:
                found[cell.run_id] = run = there[cell.run_id]
                label(run, _asked(run, selection), cell.label)
    return list(found.values())


def _asked(run: RunDir, selection: Selection) -> RunConfig:
    """The run's configuration as this sweep's: a run can belong to several."""
    return run.config().model_copy(update={"sweep": selection.name})


def _dashboard(selection: Selection, tracking: TrackingSettings) -> Dashboard:
    sweep, again = selection.sweep, commands(selection).sweep
    return dashboard(
        selection.name,
        sweep.title,
        project=tracking.project,
        entity=tracking.entity,
        cells=selection.cells,
        scores=dict(_scores(selection)),
        words=(
            f"Reproduces {sweep.reproduces}. Again: `{again}`.",
            "Lines and bars are means over training seeds, with the range from the least to the greatest. "
            "Each run's scores carry their interval and protocol (table below); tests between rows are in "
            "`prefix-rft report`.",
        ),
    )


def _scores(selection: Selection) -> Iterator[tuple[str, str]]:
    """Keys and titles: of what is asked on splits of the data, then of what else the runs were measured on."""
    for config in selection.configs:
        folder, asked = evaluation_folder(config), config.evaluation
        names = [f"avg@{asked.samples}", *(f"pass@{k}" for k in asked.pass_at if k > 1)]
        for split in asked.splits:
            yield from _titled(split, folder, names)
    ids = {cell.run_id for cell in selection.cells}
    for run in (run for run in selection.store.runs() if run.id in ids):
        for one in find_evaluated(run.path):
            names = [name for name, _ in one.estimates if name not in _SHARES and name != "pass@1"]
            yield from _titled(one.split, one.folder.name, names)


def _titled(split: str, folder: str, names: Iterable[str]) -> Iterator[tuple[str, str]]:
    for name in names:
        yield score_name(split, folder, name), f"{name} on {split} ({folder})"


def _save(made: Sequence[Dashboard], folder: Path, console: Console) -> None:
    from analysis.dashboards_server import ServerError, save

    try:
        saved = save(made)
    except ServerError:
        _write(made, folder, console)
        raise
    for name, address in saved.items():
        console.print(f"saved {name}: {address}", soft_wrap=True)


def _write(made: Sequence[Dashboard], folder: Path, console: Console) -> None:
    from analysis.dashboards_wandb import write_specifications

    files = write_specifications(made, folder)
    console.print(f"{len(files)} specifications in {folder}: {', '.join(path.name for path in files)}")
