"""The folder of runs, and one run's directory in it."""

from __future__ import annotations

import difflib
import os
import re
import shutil
import time
import uuid
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from prefix_rft import plain_yaml
from prefix_rft.errors import RunError, SettingsError
from prefix_rft.runs.atomic import TEMPORARY, move_into_place, read_json, refused, write_json, write_text
from prefix_rft.runs.checkpoint import Checkpoint, latest_checkpoint, list_checkpoints
from prefix_rft.runs.identity import (
    FORMAT,
    Identity,
    Kind,
    evaluation_folder,
    identity_digest,
    settings_that_count,
)
from prefix_rft.runs.jsonl import Record, read_records
from prefix_rft.runs.lock import is_locked
from prefix_rft.runs.markers import StageMarkers
from prefix_rft.runs.metrics import METRICS_FILE, read_metrics
from prefix_rft.runs.seals import check, seals_of
from prefix_rft.runs.state import EVENTS_FILE, RunState, append_event, read_state
from prefix_rft.settings import RunConfig, parse

CONFIG_FILE = "config.yaml"
IDENTITY_FILE = "identity.json"
_VISIBLE_SECONDS = 3.0
_RUN_ID = re.compile(r"[0-9a-f]{12}")


@dataclass(frozen=True)
class RunDir:
    """One run on disk."""

    path: Path

    @property
    def id(self) -> str:
        """The run's id, 12 hex digits."""
        return self.path.name

    @property
    def kind(self) -> Kind:
        """base or train."""
        return self.identity().kind

    def identity(self) -> Identity:
        """What the run was made from.

        Raises:
            RunError: identity.json is damaged, of another format, or of another run.
        """
        path = self.path / IDENTITY_FILE
        fields = read_json(path)
        if not isinstance(fields, dict) or fields.get("format") != FORMAT:
            raise RunError(
                f"{path} is not an identity of format {FORMAT}. Delete {self.path} to run it afresh."
            )
        if not {"kind", "counts", "id"} <= fields.keys() or not isinstance(fields["counts"], dict):
            raise RunError(f"{path} lacks kind, counts or id. Delete {self.path} to run it afresh.")
        identity = Identity(fields["kind"], fields["counts"], fields["id"])
        if not self.id == identity.id == identity_digest(identity.kind, identity.counts):
            raise RunError(
                f"{path} names run {identity.id}, not {self.id}, or says otherwise what it is: the file was changed or "
                f"copied here. Restore it from a copy, or delete {self.path} to run it afresh."
            )
        return identity

    def config(self) -> RunConfig:
        """The resolved configuration.

        Raises:
            SettingsError: it does not validate.
            RunError: it was edited into the configuration of another run.
        """
        path = self.path / CONFIG_FILE
        config = _read_config(path)
        identity = self.identity()
        if settings_that_count(identity.kind, config) != identity.counts["settings"]:
            raise RunError(
                f"{path} no longer describes run {self.id}: settings that count were edited, or "
                "another version of the suite wrote it, whose settings were others. Undo the edit, or read it with "
                "that version; or delete that file: who asks for the run again writes it anew. To run other settings, "
                "ask for them (they get a folder of their own)."
            )
        return config

    def state(self) -> RunState:
        """Where the run stands; see `read_state`."""
        return read_state(self.path)

    def metrics(self) -> list[Record]:
        """Rows of metrics.jsonl; see `read_metrics`.

        Raises:
            RunError: a committed line is damaged, or not what it was when the newest checkpoint was saved.
        """
        newest = latest_checkpoint(self.path)
        if newest is not None:
            check(self.path, METRICS_FILE, seals_of(self.path, newest.step))
        return read_metrics(self.path)

    def events(self) -> list[Record]:
        """The run's history."""
        return read_records(self.path / EVENTS_FILE).rows

    def checkpoints(self) -> list[Checkpoint]:
        """By step, the newest last; not verified."""
        return list_checkpoints(self.path)

    def evaluation(self, split: str, config: RunConfig) -> Path:
        """Folder of one split's evaluation under the configuration's protocol."""
        return self.path / "eval" / split / evaluation_folder(config)

    @cached_property
    def stages(self) -> StageMarkers:
        """Which stages are done."""
        return StageMarkers(self.path)


class Store:
    """Runs by id below one folder."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    def path(self, run_id: str) -> Path:
        """Where the run with this id is, or would be."""
        return self.root / run_id

    def create(self, identity: Identity, config: RunConfig) -> RunDir:
        """The run's directory, made where it is missing; safe against another process doing the same.

        A run that is neither done nor being worked on takes over settings that do not count (batch sizes,
        tracking) from this configuration; a finished one keeps the settings it ran with.

        Raises:
            RunError: the directory there belongs to another identity, or the disk refuses.
        """
        run = RunDir(self.path(identity.id))
        if not run.path.exists() and self._make(run, identity, config):
            return run
        _wait_for(run.path / IDENTITY_FILE)
        if run.identity() != identity:
            raise RunError(f"{run.path} holds another run of the same id. Move it away, then ask again.")
        _take_over(run, config)
        return run

    def open(self, run_id: str) -> RunDir:
        """An existing run.

        Raises:
            RunError: there is none of this id.
        """
        if not _is_run(self.path(run_id)):
            raise RunError(self._no_such(run_id))
        return RunDir(self.path(run_id))

    def runs(self) -> list[RunDir]:
        """Every run, by id; folders that are not runs are left out."""
        return [RunDir(self.path(run_id)) for run_id in self._ids()]

    def find(self, prefix: str) -> RunDir:
        """The run whose id begins with `prefix`.

        Raises:
            RunError: none does, or several do.
        """
        matching = [run_id for run_id in self._ids() if run_id.startswith(prefix)]
        if len(matching) > 1:
            raise RunError(
                f"{prefix!r} is the beginning of several runs: {', '.join(matching)}. Give more digits."
            )
        return self.open(matching[0] if matching else prefix)

    def _no_such(self, run_id: str) -> str:
        ids = self._ids()
        near = difflib.get_close_matches(run_id, ids, n=5, cutoff=0.3)
        hint = f"Nearest: {', '.join(near)}." if near else "None is alike."
        return f"there is no run {run_id!r} among the {len(ids)} in {self.root.absolute()}. {hint}"

    def _ids(self) -> list[str]:
        return (
            sorted(path.name for path in self.root.iterdir() if _is_run(path)) if self.root.is_dir() else []
        )

    def _make(self, run: RunDir, identity: Identity, config: RunConfig) -> bool:
        """Make the directory whole or not at all; False if another process was faster."""
        temporary = self.root / f"{TEMPORARY}{identity.id}-{uuid.uuid4().hex[:8]}"
        try:
            temporary.mkdir(parents=True)
            # Everything in the folder is synced once, before it appears under its name.
            write_json(temporary / IDENTITY_FILE, {"format": FORMAT, **vars(identity)}, durable=False)
            _write_config(temporary / CONFIG_FILE, config, durable=False)
            append_event(temporary, "created", kind=identity.kind, sweep=config.sweep)
            move_into_place(temporary, run.path)
        except FileExistsError:
            return False
        except OSError as error:
            raise refused(run.path, error) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return True


def _wait_for(path: Path) -> None:
    """Until it is to be seen: a server may say for a moment that there is nothing where another machine made it."""
    deadline = time.monotonic() + _VISIBLE_SECONDS
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)


def _is_run(path: Path) -> bool:
    return _RUN_ID.fullmatch(path.name) is not None and os.path.exists(path / IDENTITY_FILE)


def _take_over(run: RunDir, config: RunConfig) -> None:
    path = run.path / CONFIG_FILE
    if not path.exists():
        # The settings that count are those of the run's name; who asks has them.
        _write_config(path, config)
        append_event(run.path, "settings restored")
    if is_locked(run.path) or run.state().status == "done":
        return
    changed = _differences(_dump(run.config()), _dump(config))
    if changed:
        _write_config(path, config)
        append_event(run.path, "settings changed", keys=changed)


def _differences(old: Any, new: Any, name: str = "") -> list[str]:
    """Dotted names of the leaves that differ."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return [] if old == new else [name]
    keys = sorted(old.keys() | new.keys())
    return [
        leaf for key in keys for leaf in _differences(old.get(key), new.get(key), f"{name}.{key}".strip("."))
    ]


def _dump(config: RunConfig) -> dict[str, Any]:
    return config.model_dump(mode="json")


def _write_config(path: Path, config: RunConfig, *, durable: bool = True) -> None:
    write_text(path, plain_yaml.dump(_dump(config)), durable=durable)


def _read_config(path: Path) -> RunConfig:
    way_out = "Restore it, or delete that file: who asks for the run again writes it anew"
    try:
        values = plain_yaml.load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"cannot read {path}: {error}. {way_out}.") from error
    if not isinstance(values, dict):
        raise RunError(f"{path} holds no settings. {way_out}.")
    try:
        return parse(RunConfig, values)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}\n{way_out}.") from None
