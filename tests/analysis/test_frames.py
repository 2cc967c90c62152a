"""The store as tidy frames: a row for every run, whatever became of it, with every setting."""

from __future__ import annotations

import json
from dataclasses import replace

import pandas as pd
import pytest

from analysis.cells import Cell, cell_of
from analysis.frames import PLACE
from analysis.results import frames, load_results
from prefix_rft.runs.atomic import write_json
from prefix_rft.runs.lock import RunLock
from prefix_rft.runs.state import StateWriter


def runs_of(store, **options) -> pd.DataFrame:
    return frames(store, **options).runs.set_index("run_id")


@pytest.fixture
def states(build) -> dict[str, str]:
    """A run in every state, by its state; the lock of the running one is held."""
    ids = {"new": build.new("rft", 0).id, "done": build.done("rft", 1, [[1, 0], [0, 0]]).run_id}
    for seed, name in enumerate(("queued", "failed", "lost", "running", "unreadable", "nameless"), start=2):
        run = build.new("rft", seed)
        ids[name], writer = run.id, StateWriter(run.path)
        writer.attempt()
        writer.running("train", step=3, total_steps=9)
        if name == "queued":
            writer.queued()
        if name == "failed":
            writer.failed(RuntimeError("out of memory \udc80"))
        if name == "unreadable":
            (run.path / "state.json").write_text("{")
        if name == "nameless":
            (run.path / "identity.json").write_text("{}")
    with RunLock(build.store.path(ids["running"])):
        yield ids


@pytest.mark.parametrize("cache", [True, False])
def test_every_run_is_a_row_with_its_state(build, states, cache):
    runs = runs_of(build.store, cache=cache)
    assert len(runs) == len(states)
    found = {name: runs.loc[run_id, "status"] for name, run_id in states.items()}
    assert found == {name: "unreadable" if name == "nameless" else name for name in states}
    standing = {name: runs.loc[run_id, "standing"] for name, run_id in states.items()}
    assert (standing["running"], standing["lost"]) == ("running 3/9", "lost 3/9")
    assert standing["new"] == "not started"
    errors = {name: runs.loc[run_id, "error"] for name, run_id in states.items()}
    assert errors["failed"] == "RuntimeError: out of memory [U+DC80]"
    assert "state.json" in errors["unreadable"]
    assert "identity.json" in errors["nameless"]
    assert pd.isna(errors["done"])


def test_a_run_without_a_readable_identity_is_of_no_method(build, states):
    row = runs_of(build.store).loc[states["nameless"]]
    assert (row["label"], row["method"], row["seed"]) == ("unreadable", "", pd.NA)


def test_a_run_says_how_long_it_worked_and_from_what(build):
    cell = build.done("prefix_rft", 0, [[1, 0], [0, 0]])
    path = build.store.path(cell.run_id)
    events = [("created", "10:00:00"), ("attempt", "10:00:10"), ("done", "10:00:40")]
    lines = [{"time": f"2026-11-21T{time}.000+00:00", "event": event} for event, time in events]
    (path / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    row = runs_of(build.store).loc[cell.run_id]
    assert (row["seconds"], row["attempts"]) == (30, 1)
    assert row["created"] == pd.Timestamp("2026-11-21T10:00:00Z")
    assert row["finished"] == pd.Timestamp("2026-11-21T10:00:40Z")
    assert (row["commit"], row["dirty"]) == ("0123456789abcdef0123", False)


@pytest.mark.parametrize(
    ("commit", "dirty", "shown"), [("f" * 40, "abc", True), ("f" * 40, None, False), (None, None, pd.NA)]
)
def test_the_flag_of_uncommitted_changes_is_missing_where_the_commit_is(build, commit, dirty, shown):
    cell = build.done("rft", 0, [[1, 0], [0, 0]])
    source = {"commit": commit, "dirty": dirty, "reason": None}
    write_json(build.store.path(cell.run_id) / "provenance.json", {"source": source, "earlier": []})
    assert frames(build.store).runs["dirty"].astype(object).tolist() == [shown]


def test_settings_are_columns_to_group_by(build):
    for keep in (0.2, 0.5):
        for seed in (0, 1):
            build.new("prefix_rft", seed, method={"name": "prefix_rft", "clipping": {"keep": keep}})
    build.new("sft", 0)
    runs = frames(build.store).runs
    assert runs.groupby("method.clipping.keep").size().to_dict() == {0.2: 2, 0.5: 2}
    assert runs["data.kind"].unique().tolist() == ["chain"]
    assert runs["evaluation.pass_at"].unique().tolist() == ["[1, 2]"]
    assert runs.groupby("seed").size().to_dict() == {0: 3, 1: 2}
    assert runs.columns.is_unique


def test_a_run_stands_where_the_caller_puts_it_and_a_missing_one_is_not_started(build):
    cell = build.done("rft", 0, [[1, 0], [0, 0]])
    build.curve(cell.run_id, [0.1, 0.2], {})
    twice = [replace(cell, label="A"), replace(cell, label="B"), Cell("0123456789ab", "sft", 4, "C")]
    found = frames(build.store, twice)
    assert found.runs["label"].tolist() == ["A", "B", "C"]
    assert found.runs["standing"].tolist() == ["done", "done", "not started"]
    assert found.curves.groupby("label")["reward"].sum().to_dict() == pytest.approx({"A": 0.3, "B": 0.3})
    assert found.scores.groupby("label").size().nunique() == 1


def test_curves_keep_every_value_whatever_its_kind(build):
    first, second = build.new("rft", 0), build.new("rft", 1)
    lines = [
        {"step": 1, "kind": "train", "tokens": 3, "note": "a", "odd": 2**60 + 1, "flag": True, "empty": None},
        {"step": 2, "kind": "train", "tokens": 0.1 + 0.2, "note": 7, "label": 5.0},
    ]
    (first.path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (second.path / "metrics.jsonl").write_text('{"step": 1, "kind": "train", "flag": "yes"}\n')
    curves = frames(build.store).curves
    assert list(curves.columns[:8]) == [*PLACE, "step", "kind", "reward", "validation/accuracy"]
    assert list(curves.columns[8:]) == ["flag", "metric label", "note", "odd", "tokens"]
    own = curves[curves["seed"] == 0]
    assert own["tokens"].tolist() == [3.0, 0.1 + 0.2]
    assert own["note"].tolist() == ["a", 7]
    assert (own["odd"].iloc[0], own["metric label"].iloc[1]) == (2**60 + 1, 5.0)
    assert [value for value in curves["flag"] if value is not None] in ([True, "yes"], ["yes", True])
    assert curves["step"].dtype == "int64"


def test_an_empty_store_has_every_column(build):
    empty = frames(build.store)
    assert [len(frame) for frame in (empty.runs, empty.curves, empty.scores)] == [0, 0, 0]
    assert {"standing", "status", "error"} <= set(empty.runs)
    assert not build.store.root.exists()


def test_a_table_has_the_same_frames(build):
    cells = [build.done(method, 0, [[1, 0], [0, 0]]) for method in ("rft", "sft")]
    build.curve(cells[0].run_id, [0.1, 0.2], {2: 0.5})
    assert cells == [cell_of(build.store.open(cell.run_id)) for cell in cells]
    ours, theirs = frames(build.store, cells), load_results(build.store, cells).frames
    for name in ("runs", "curves", "scores"):
        pd.testing.assert_frame_equal(getattr(ours, name), getattr(theirs, name))
