"""What a run is to the sweeps that ask for it: its tags in W&B, and the name of its row in each sweep's table.

No run knows this of itself: the commands that have the sweep's file write it beside the run, and the mirror shows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from prefix_rft.runs.atomic import read_json, write_json

FOLDER = "wandb"
"""Below the run directory: everything about the mirror."""
LABELS_FILE = "labels.json"


@dataclass(frozen=True)
class Label:
    """What a run is to one sweep."""

    tags: tuple[str, ...] = ()
    """The settings that the sweep varies: seed=1, data.fraction=0.1."""
    row: str | None = None
    """The row of the sweep's table; None where nobody has asked for the sweep's dashboard yet."""


def read_labels(run_path: Path) -> dict[str, Label]:
    """By sweep; empty where no sweep has labelled the run.

    Raises:
        RunError: the file is damaged.
    """
    path = _path(run_path)
    found = read_json(path) if path.exists() else {}
    return {sweep: Label(tuple(label["tags"]), label["row"]) for sweep, label in found.items()}


def add_label(run_path: Path, sweep: str, tags: Sequence[str], row: str | None = None) -> bool:
    """Write down what the run is to a sweep; a row that is known already stays where none is given.

    Returns:
        Whether that was news.

    Raises:
        RunError: the file is damaged, or the disk refuses.
    """
    labels = read_labels(run_path)
    before = labels.get(sweep)
    known = before.row if before is not None else None
    label = Label(tuple(tags), row if row is not None else known)
    if label == before:
        return False
    _path(run_path).parent.mkdir(exist_ok=True)
    _write(run_path, {**labels, sweep: label})
    return True


def tags_of(labels: Mapping[str, Label]) -> list[str]:
    """Every sweep's name, then every tag, each once."""
    return list(dict.fromkeys([*labels, *(tag for label in labels.values() for tag in label.tags)]))


def rows_of(labels: Mapping[str, Label]) -> dict[str, str]:
    """By sweep the row of its table, where it is known."""
    return {sweep: label.row for sweep, label in labels.items() if label.row is not None}


def _write(run_path: Path, labels: Mapping[str, Label]) -> None:
    values = {sweep: asdict(label) for sweep, label in sorted(labels.items())}
    write_json(_path(run_path), values, durable=False)


def _path(run_path: Path) -> Path:
    return run_path / FOLDER / LABELS_FILE
