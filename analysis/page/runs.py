"""What the page knows of every run: one JSON value, from which a run is shown when somebody asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from analysis.cells import Cell, open_run
from analysis.page import curves, samples
from analysis.page.settings import Leaves, commonest, counted_names, differing, leaves
from analysis.page.sheet import Sheet
from analysis.page.text import cut
from analysis.reading import RunRecord, metrics_of, read_run
from prefix_rft.errors import PrefixRftError
from prefix_rft.runs.identity import Kind
from prefix_rft.runs.rollout_samples import read_samples
from prefix_rft.runs.store import RunDir, Store

Json = dict[str, Any]
LAST_EVENTS = 30
"""Events of a run that are shown, the last ones."""
MOST_IN_FULL = 1000
"""Runs with curves, responses and history: with those of ten thousand no browser would open the page."""
_LONGEST_CAUSE = 20_000
_LEFT_OUT = (
    f"curves, history and responses are shown of {MOST_IN_FULL} runs of a page, this one is not among them: see its "
    "folder, curves.csv, or the report of fewer cells"
)


@dataclass(frozen=True)
class Place:
    """A row that a run stands in."""

    sheet: Sheet
    cell: Cell


@dataclass(frozen=True, eq=False)
class Run:
    """One run of the page."""

    id: str
    places: tuple[Place, ...]
    record: RunRecord
    leaves: Leaves
    in_full: bool = True
    """Whether curves, responses and history are shown too."""

    @property
    def cell(self) -> Cell:
        """Where it stands first."""
        return self.places[0].cell

    @property
    def kind(self) -> Kind:
        """base or train."""
        return "base" if self.cell.method == "base" else "train"


def runs_of(store: Store, sheets: Sequence[Sheet]) -> list[Run]:
    """Every run of the sweeps, each once, in the order in which they stand there."""
    places: dict[str, dict[tuple[str, str], Place]] = {}
    for sheet in sheets:
        for cell in sheet.results.cells:
            places.setdefault(cell.run_id, {}).setdefault((sheet.name, cell.label), Place(sheet, cell))
    records = [_record(store, run_id, found.values()) for run_id, found in places.items()]
    full = _in_full(records)
    return [
        _run(run_id, tuple(found.values()), record, place in full)
        for place, ((run_id, found), record) in enumerate(zip(places.items(), records, strict=True))
    ]


def data(store: Store, sheets: Sequence[Sheet], runs: Sequence[Run]) -> Json:
    """The value that the page's script reads."""
    common = commonest([run.leaves for run in runs])
    meanings = _Meanings()
    varied = {sheet.name: _varied(sheet, runs) for sheet in sheets}
    counted = {
        name for run in runs if run.record.config for name in counted_names(run.record.config, run.kind)
    }
    return {
        "sweeps": {sheet.name: sheet.title for sheet in sheets},
        "metrics": [[metric.title, metric.unit] for metric in curves.METRICS],
        "common": {name: [leaf.value, meanings.place(leaf)] for name, leaf in common.items()},
        "uncounted": [name for name in common if name not in counted],
        "runs": {run.id: _described(store, run, common, meanings, varied) for run in runs},
        "meanings": meanings.listed,
    }


class _Meanings:
    """Type, default and meaning of settings, each once."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, str, str], int] = {}

    def place(self, leaf: Any) -> int:
        return self._places.setdefault((leaf.kind, leaf.default, leaf.meaning), len(self._places))

    @property
    def listed(self) -> list[tuple[str, str, str]]:
        return list(self._places)


def _record(store: Store, run_id: str, places: Iterable[Place]) -> RunRecord:
    """What the tables have read of a run; or read now, since where only scores are damaged the rest is shown."""
    known = (place.sheet.results.records.get(run_id) for place in places)
    found = next((record for record in known if record is not None and not record.damage), None)
    return replace(read_run(store, run_id), metrics=()) if found is None else found


def _in_full(records: Sequence[RunRecord]) -> frozenset[int]:
    """Places of the runs that are shown in full: what is not done first, then the first ones."""
    order = sorted(range(len(records)), key=lambda place: records[place].standing == "done")
    return frozenset(order[:MOST_IN_FULL])


def _run(run_id: str, places: tuple[Place, ...], record: RunRecord, in_full: bool) -> Run:
    kind: Kind = "base" if places[0].cell.method == "base" else "train"
    return Run(run_id, places, record, leaves(record.config, kind) if record.config else {}, in_full)


def _varied(sheet: Sheet, runs: Sequence[Run]) -> list[str]:
    """Settings in which the trained runs of a sweep differ."""
    own = {cell.run_id for cell in sheet.results.cells}
    return differing([run.leaves for run in runs if run.id in own and run.kind == "train" and run.leaves])


def _described(
    store: Store, run: Run, common: Leaves, meanings: _Meanings, varied: Mapping[str, Sequence[str]]
) -> Json:
    record, own = run.record, {name for place in run.places for name in varied[place.sheet.name]}
    return {
        "kind": run.kind,
        "method": run.cell.method,
        "seed": run.cell.seed,
        "places": [[place.sheet.name, place.cell.label] for place in run.places],
        "standing": record.standing,
        "damage": cut(record.damage, _LONGEST_CAUSE),
        "seconds": round(record.seconds, 1),
        "settings": {
            name: [leaf.value, meanings.place(leaf)]
            for name, leaf in run.leaves.items()
            if common[name] != leaf
        },
        "absent": [name for name in common if name not in run.leaves],
        "varied": [name for name in run.leaves if name in own],
        "scores": [_score(row) for row in record.scores],
        "provenance": _provenance(record.provenance),
        "command": next(filter(None, (place.sheet.commands.runs.get(run.id) for place in run.places)), ""),
        **_of_folder(open_run(store, run.id), run),
    }


def _of_folder(found: RunDir | None, run: Run) -> Json:
    """State, history and responses; what cannot be read says why in its place."""
    nothing: Json = {"state": None, "events": [], "curves": [], "rollouts": [], "evaluated": [], "unread": []}
    if found is None:
        return nothing
    if not run.in_full:
        return nothing | {"unread": [_LEFT_OUT]}
    unread: list[str] = []

    def read(what: str, otherwise: Any, get: Any) -> Any:
        try:
            return get()
        except PrefixRftError as error:
            unread.append(f"{what}: {cut(str(error), _LONGEST_CAUSE)}")
            return otherwise

    return {
        "state": read("state", None, lambda: _state(found)),
        "events": read("history", [], lambda: [_event(event) for event in found.events()[-LAST_EVENTS:]]),
        "curves": read("curves", [], lambda: curves.curves(metrics_of(found)))
        if not run.record.damage
        else [],
        "rollouts": read("rollouts", [], lambda: samples.rollouts(read_samples(found.path))),
        "evaluated": read("samples", [], lambda: list(_evaluated(run))),
        "unread": unread,
    }


def _state(found: RunDir) -> Json:
    state = asdict(found.state())
    if state["error"]:
        state["error"]["message"] = cut(state["error"]["message"], _LONGEST_CAUSE)
    return {name: value for name, value in state.items() if name not in ("pid", "host")}


def _event(event: Mapping[str, Any]) -> list[str]:
    """Time, what happened, and the details as key=value."""
    rest = {name: value for name, value in event.items() if name not in ("time", "event", "pid", "host")}
    details = " ".join(f"{name}={value}" for name, value in rest.items() if value is not None)
    return [str(event.get("time", "")), str(event.get("event", "")), cut(details, _LONGEST_CAUSE)]


def _evaluated(run: Run) -> Iterator[Json]:
    """Samples of the evaluations that the tables are about, each once."""
    found = {
        done.folder: part
        for place in run.places
        if (measured := place.sheet.results.evaluations.get(run.id)) is not None
        for part, done in measured.parts.items()
    }
    for folder, part in found.items():
        yield {"split": part, "protocol": folder.name, "samples": samples.evaluated(folder)}


def _score(row: Mapping[str, Any]) -> list[Any]:
    numbers = (row.get(name) for name in ("value", "se_questions", "low", "high"))
    return [row["split"], row["protocol"], row["metric"], *(_rounded(number) for number in numbers)]


def _rounded(number: float | None) -> float | None:
    return None if number is None else float(f"{number:.6g}")


def _provenance(record: Mapping[str, Any]) -> Json:
    """As recorded; of earlier attempts only when they were and at which commit."""
    if not record:
        return {}
    earlier = [
        [attempt.get("time"), (attempt.get("source") or {}).get("commit")]
        for attempt in record.get("earlier", [])
    ]
    return {**record, "earlier": earlier}
