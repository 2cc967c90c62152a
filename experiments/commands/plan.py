"""`prefix-rft plan`: what sweeps would run, what of it is done, and what the rest will cost. Runs nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from rich.console import Console

from analysis import render
from analysis.layout import Column, Entry, Row, Table
from experiments.cost.estimate import Estimate, Kind, Measured, estimates
from experiments.cost.tokens import DEMONSTRATION_SHARE, PROMPT_SHARE, RESPONSE_SHARE
from experiments.cost.work import BASE_BATCH, CPU_CORE, H100, VERL_CPU, Machine, Work
from experiments.names import kind_of, names
from experiments.plan import plan as plan_runs
from experiments.selection import Selection, select
from prefix_rft.settings import ChainData

_COUNTS = (
    Column("cells", "Cells", digits=0),
    Column("runs", "Runs", digits=0),
    Column("done", "Done", digits=0),
)
_COSTS = tuple(
    Column(key, title, numeric=True)
    for key, title in (
        ("generated", "Generated"),
        ("updated", "Updated"),
        ("flops", "FLOPs"),
        ("hours", "Time"),
        ("disk", "Disk"),
    )
)


def plan(
    sweeps: Sequence[str], overrides: Sequence[str], console: Console, *, every_run: bool = False
) -> int:
    """Print the cells, runs and costs of some sweeps, and of all of them together."""
    selections = [select(name, overrides) for name in sweeps]
    tasks = plan_runs([config for selection in selections for config in selection.configs]).tasks
    found, measured = estimates(tasks, selections[0].store)
    of_run = {estimate.task.id: estimate for estimate in found}
    if every_run:
        console.print(render.rich_renderable(_runs_table(found)))
    console.print(render.rich_renderable(_sweeps_table(selections, of_run)))
    console.print(render.rich_renderable(_kinds_table(found)))
    for line in assumptions(found, measured):
        console.print(line, style="dim", highlight=False, markup=False)
    return 0


def assumptions(found: Sequence[Estimate], measured: dict[Kind, Measured]) -> list[str]:
    """What the estimate rests on, a line each."""
    machines = {estimate.machine.name: estimate.machine for estimate in found}
    files = any(not isinstance(estimate.task.config.data, ChainData) for estimate in found)
    lines = [
        "Cost of what is left to do. A forward pass over n tokens takes 2 P n + 2 W n (n + 1) FLOPs (P weights, W "
        "width of attention over all layers), an update three times that.",
        "Upper bounds: rollouts count as whole responses with a prompt read for each, rows of zero weight as updated, "
        f"ReLIFT's buffer as always full, a base model's schooling as all its steps of {BASE_BATCH}.",
        *map(_of_machine, machines.values()),
    ]
    if files:
        lines.append(
            f"Tokens: a prompt has {PROMPT_SHARE:.0%} of its maximum, a response {RESPONSE_SHARE:.0%}, a demonstration "
            f"{DEMONSTRATION_SHARE:.0%}; response_length in metrics.jsonl tells the truth after a few steps."
        )
    lines += [_of_measured(kind, known) for kind, known in measured.items()]
    unknown = sorted(
        {_unknown(estimate) for estimate in found if not estimate.done and estimate.work is None}
    )
    return lines + [
        f"No cost is known for {what}: its size is not in experiments/cost/shapes.py." for what in unknown
    ]


def _of_machine(machine: Machine) -> str:
    useful = (machine.generate, machine.score, machine.update)
    if machine is not H100:
        rates = ", ".join(f"{rate / 1e9:.0f}" for rate in useful)
        return (
            f"Time: minutes of one {machine.name} at {rates} useful GFLOP/s for generation, scoring, update (measured "
            f"with the embedded model), {machine.start_seconds:.0f} s to start a run."
        )
    rates = ", ".join(f"{rate / 1e12:.0f}" for rate in useful)
    return (
        f"Time: hours of one {machine.name} at {rates} useful TFLOP/s for generation, scoring, update (10%, 35%, 35% "
        "of its dense bfloat16 peak)."
    )


def _of_measured(kind: Kind, known: Measured) -> str:
    runs = "1 finished run" if known.runs == 1 else f"{known.runs} finished runs"
    return (
        f"{kind[0]} at {kind[1]}: scaled by {known.ratio:.2f}, the time that {runs} in the store took by the clock, "
        "whatever else ran beside."
    )


def _unknown(estimate: Estimate) -> str:
    config = estimate.task.config
    return f"model {getattr(config.model, 'path', config.model.kind)} with data.kind={config.data.kind}"


def _sweeps_table(selections: Sequence[Selection], of_run: dict[str, Estimate]) -> Table:
    """A line a sweep, with all runs that it needs, and one line for all of them, where shared runs count once."""
    columns = (Column("sweep", "Sweep", numeric=False), *_COUNTS, *_COSTS)
    rows = []
    for selection in selections:
        runs = [of_run[run_id] for run_id in selection.asked]
        rows.append(_row((selection.name,), len(selection.configs), runs))
    if len(selections) > 1:
        cells = sum(len(selection.configs) for selection in selections)
        rows.append(_row(("all, shared runs once",), cells, list(of_run.values())))
    return Table("", columns, tuple(rows))


def _kinds_table(found: Sequence[Estimate]) -> Table:
    """A line for every kind of run."""
    columns = (
        Column("sort", "Runs of", numeric=False),
        Column("scale", "Scale", numeric=False),
        *_COUNTS[1:],
        *_COSTS,
    )
    kinds: dict[Kind, list[Estimate]] = {}
    for estimate in found:
        kinds.setdefault(kind_of(estimate.task), []).append(estimate)
    return Table("", columns, tuple(_row(kind, None, of_kind) for kind, of_kind in kinds.items()))


def _runs_table(found: Sequence[Estimate]) -> Table:
    columns = (
        Column("id", "Run", numeric=False),
        Column("what", "What", numeric=False),
        Column("stands", "Stands", numeric=False),
        *_COSTS,
    )
    named = names(estimate.task for estimate in found)
    rows = []
    for estimate in found:
        start = (estimate.task.id, named[estimate.task.id], "done" if estimate.done else "to do")
        rows.append(Row((*map(Entry, start), *_costs([estimate]))))
    return Table("", columns, tuple(rows))


def _row(start: Iterable[str], cells: int | None, found: Sequence[Estimate]) -> Row:
    counts = [len(found), sum(estimate.done for estimate in found)]
    shown = [str(count) for count in ([] if cells is None else [cells]) + counts]
    return Row((*map(Entry, start), *map(Entry, shown), *_costs(found)))


def _costs(found: Sequence[Estimate]) -> tuple[Entry, ...]:
    """Sums over the runs that are left; a question mark where one of them is not known."""
    left = [estimate for estimate in found if not estimate.done]
    if any(estimate.work is None for estimate in left):
        return tuple(Entry("?") for _ in _COSTS)
    work = sum((estimate.work for estimate in left if estimate.work), Work())
    disk = sum(estimate.disk or 0.0 for estimate in left)
    texts = (
        amount(work.generated),
        amount(work.updated),
        f"{work.flops:.1e}",
        _time(left),
        amount(disk) + "B",
    )
    return tuple(Entry(text) for text in texts)


def _time(left: Sequence[Estimate]) -> str:
    """Per machine, since hours of different machines do not add up."""
    parts: list[str] = []
    shown: tuple[tuple[Machine, Callable[[float], str]], ...] = (
        (CPU_CORE, lambda seconds: f"{seconds / 60:.1f} CPU min"),
        (VERL_CPU, lambda seconds: f"{seconds / 60:.1f} CPU min under verl"),
        (H100, lambda seconds: f"{seconds / 3600:,.0f} GPU h"),
    )
    for machine, text in shown:
        seconds = [estimate.seconds or 0.0 for estimate in left if estimate.machine is machine]
        parts += [text(sum(seconds))] if seconds else []
    return " + ".join(parts) or "0"


def amount(value: float) -> str:
    """1.5 G, 20.3 M, 512."""
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.1f} {letter}"
    return f"{value:.0f} "
