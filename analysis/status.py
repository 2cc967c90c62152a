"""Every run of a store and where it stands; without pandas or matplotlib."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from analysis.cells import cell_of, progress
from analysis.layout import Column, Entry, Row, Table
from prefix_rft.errors import PrefixRftError
from prefix_rft.runs.jsonl import newest_values
from prefix_rft.runs.metrics import METRICS_FILE
from prefix_rft.runs.state import RunState
from prefix_rft.runs.store import RunDir, Store

COLUMNS = (
    Column("id", "id", numeric=False),
    Column("method", "method", numeric=False),
    Column("seed", "seed"),
    Column("state", "state", numeric=False),
    Column("step", "step", numeric=False),
    Column("reward", "reward", digits=3),
    Column("accuracy", "acc.", digits=3),
    Column("age", "age"),
)


@dataclass(frozen=True)
class RunRow:
    """One run as it stands."""

    id: str
    kind: str
    method: str
    seed: int | None
    state: str
    """new, queued, running, done, failed, lost, or unreadable; on SLURM also cancelled."""
    stage: str
    step: str
    """Steps of the stage: 40/60."""
    reward: float | None
    """Mean reward of ordinary rollouts at the last step that recorded one."""
    accuracy: float | None
    """Last accuracy on the validation split."""
    age_seconds: float | None
    """Since the state last changed."""
    cause: str
    """Why the run failed or cannot be read, and where its log is; empty for the others."""


def status_rows(store: Store, now: datetime) -> list[RunRow]:
    """Every run: those at work first, then failed and lost ones; a damaged one is a row too."""
    return sorted((_row(run, now) for run in store.runs()), key=_urgency)


def status_table(rows: list[RunRow]) -> Table:
    """Ready for `analysis.render`; causes of failure stand in full below the rows."""
    causes = tuple(f"{row.id}: {row.cause}" for row in rows if row.cause)
    return Table(summary(rows), COLUMNS, tuple(Row(entries(row)) for row in rows), causes)


def summary(rows: list[RunRow]) -> str:
    """How many runs there are, and in which states."""
    return f"{len(rows)} {'run' if len(rows) == 1 else 'runs'}: {_counts(rows)}" if rows else "no runs yet"


def _row(run: RunDir, now: datetime) -> RunRow:
    try:
        cell, state = cell_of(run), run.state()
        newest = newest_values(run.path / METRICS_FILE, ("reward", "validation/accuracy"))
    except PrefixRftError as error:
        return RunRow(run.id, "", "", None, "unreadable", "", "", None, None, None, str(error))
    return RunRow(
        id=run.id,
        kind="base" if cell.method == "base" else "train",
        method=cell.method,
        seed=cell.seed,
        state=state.status,
        stage=state.stage or "",
        step=progress(state),
        reward=newest.get("reward"),
        accuracy=newest.get("validation/accuracy"),
        age_seconds=_age(state, now),
        cause=_cause(run, state),
    )


def _age(state: RunState, now: datetime) -> float | None:
    return None if state.updated is None else (now - datetime.fromisoformat(state.updated)).total_seconds()


_ORDER = ("running", "queued", "failed", "lost", "cancelled", "unreadable", "new", "done")


def _urgency(row: RunRow) -> tuple[int, str, str, int, str]:
    return _ORDER.index(row.state), row.kind, row.method, -1 if row.seed is None else row.seed, row.id


def _counts(rows: list[RunRow]) -> str:
    states = [row.state for row in rows]
    return ", ".join(f"{states.count(state)} {state}" for state in _ORDER if state in states)


def entries(row: RunRow) -> tuple[Entry, ...]:
    """A run under `COLUMNS`."""
    stage = row.stage.partition("/")[0].replace("evaluate", "eval")
    seed = "" if row.seed is None else str(row.seed)
    age = "" if row.age_seconds is None else short_duration(row.age_seconds)
    texts = (row.id, row.method, seed, row.state, f"{stage} {row.step}".strip())
    return (*map(Entry, texts), Entry(row.reward), Entry(row.accuracy), Entry(age))


def _cause(run: RunDir, state: RunState) -> str:
    if state.error is None:
        return ""
    log = f" (log: {run.path / state.error.log})" if state.error.log else ""
    return f"{state.error.type}: {state.error.message.strip()}{log}"


def short_duration(seconds: float) -> str:
    """The largest whole unit: 45 s, 12 min, 3 h, 8 d."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(max(seconds, 0))} s"
