"""Where the submitted runs of a store stand: runs on disk and SLURM's jobs, joined."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from analysis.layout import Column, Entry, Row, Table
from analysis.status import COLUMNS, RunRow, entries, short_duration, status_rows, summary
from experiments.cluster.launch import book
from experiments.cluster.requests import STAGES, TRAIN, Requests
from experiments.worker import is_evaluated
from prefix_rft.errors import PrefixRftError
from prefix_rft.runs.markers import TRAIN as TRAINING
from prefix_rft.runs.store import RunDir, Store
from slurm.book import Key
from slurm.commands import Slurm
from slurm.standing import Standing, standings

_MORE = (
    Column("slurm", "SLURM", numeric=False),
    Column("node", "node", numeric=False),
    Column("requeued", "requeued", digits=0),
    Column("eta", "to go"),
)


@dataclass(frozen=True)
class ClusterRow:
    """A run, and the stage of it that matters now."""

    run: RunRow
    stage: str = ""
    standing: Standing | None = None
    to_go_seconds: float | None = None
    left: bool = False
    """Asked for, and not submitted yet: the queue had no room, or SLURM refused."""


class Finished:
    """Whether a stage's results are in the store, for many runs: a run that is recorded as done is not looked into."""

    def __init__(self, store: Store, done: Iterable[str] = ()) -> None:
        self._store, self._requests, self._done = store, Requests(store), frozenset(done)

    def __call__(self, key: Key) -> bool:
        """What cannot be read is not done: the row of the run says why."""
        run_id, stage = key
        run = RunDir(self._store.path(run_id))
        try:
            if run_id in self._done or not run.path.is_dir():
                return run_id in self._done
            if not run.stages.is_done(TRAINING):
                return False
            return stage == TRAIN or is_evaluated(run, self._requests.read(run_id).asked)
        except PrefixRftError:
            return False


def was_submitted(store: Store) -> bool:
    """Whether anything of this store was ever submitted to SLURM."""
    return book(store).path.exists()


def cluster_rows(store: Store, now: datetime, slurm: Slurm) -> list[ClusterRow]:
    """Every run, as `analysis.status` has them, with its jobs."""
    runs = status_rows(store, now)
    finished = Finished(store, (row.id for row in runs if row.state == "done"))
    found = standings(slurm, book(store), finished)
    left = unsubmitted(store, found, finished)
    return [replace(_row(store, row, found, now), left=row.id in left) for row in runs]


def unsubmitted(store: Store, found: Mapping[Key, Standing], finished: Finished) -> set[str]:
    """Runs of which a stage is asked for that is neither done nor in any array that SLURM took."""
    asked = {path.stem for path in Requests(store).folder.glob("*.json") if "-" not in path.stem}
    return {
        run_id
        for run_id in asked
        if any((run_id, stage) not in found and not finished((run_id, stage)) for stage in STAGES)
    }


def cluster_table(rows: list[ClusterRow]) -> Table:
    """Ready for `analysis.render`; causes stand in full below the rows."""
    runs = [row.run for row in rows]
    causes = tuple(f"{run.id}: {run.cause}" for run in runs if run.cause)
    shown = tuple(Row((*entries(row.run), *_more(row))) for row in rows)
    return Table(summary(runs), (*COLUMNS, *_MORE), shown, causes)


def _row(store: Store, row: RunRow, found: dict[Key, Standing], now: datetime) -> ClusterRow:
    stages = [(stage, found[row.id, stage]) for stage in STAGES if (row.id, stage) in found]
    stage, standing = next(((s, one) for s, one in stages if one.word != "done"), ("", None))
    if standing is None or row.state in ("done", "unreadable"):
        return ClusterRow(row)
    state = {"pending": "queued", "unknown": row.state}.get(standing.word, standing.word)
    cause = row.cause if state == "failed" and row.cause else standing.cause
    if not standing.over:
        cause = ""
    to_go = _to_go(RunDir(store.path(row.id)), now) if standing.word == "running" else None
    return ClusterRow(replace(row, state=state, cause=cause), stage, standing, to_go)


def _more(row: ClusterRow) -> tuple[Entry, ...]:
    standing = row.standing
    if standing is None:
        return tuple(map(Entry, ("not submitted" if row.left else "", *[""] * (len(_MORE) - 1))))
    reason = f" ({standing.reason})" if standing.reason else ""
    said = f"{row.stage} {standing.ref} {standing.slurm or 'not known'}{reason}"
    restarts = str(standing.restarts) if standing.restarts else ""
    to_go = "" if row.to_go_seconds is None else short_duration(row.to_go_seconds)
    return tuple(map(Entry, (said, standing.nodes, restarts, to_go)))


def _to_go(run: RunDir, now: datetime) -> float | None:
    """Seconds until the stage ends, by its pace in this attempt."""
    state = run.state()
    began = next((event for event in reversed(run.events()) if event["event"] == "stage"), None)
    if began is None or state.step is None or not state.total_steps or state.updated is None:
        return None
    start, updated = datetime.fromisoformat(began["time"]), datetime.fromisoformat(state.updated)
    steps = state.step - (_resumed_at(run, start) if state.stage == TRAINING else 0)
    if steps <= 0:
        return None
    left = (updated - start).total_seconds() / steps * (state.total_steps - state.step)
    return max(0.0, left - (now - updated).total_seconds())


def _resumed_at(run: RunDir, start: datetime) -> int:
    """Step of the checkpoint that was the newest when the attempt began, as far as it is kept."""
    older = [point.step for point in run.checkpoints() if point.path.stat().st_mtime <= start.timestamp()]
    return max(older, default=0)


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)
