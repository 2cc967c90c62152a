"""Frames with what earlier processes read are the frames without it, whatever has happened to the runs since."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import analysis.cache as cache
import analysis.cache_stamps as cache_stamps
from analysis.cache import FOLDER
from analysis.cache_file import load
from analysis.cells import cell_of
from analysis.results import frames
from analysis.status import status_rows
from prefix_rft.runs.lock import RunLock
from prefix_rft.runs.metrics import MetricsWriter
from prefix_rft.runs.state import StateWriter, now
from prefix_rft.runs.store import RunDir, Store

DONE = [[1, 0], [0, 0]]


def kept(store: Store) -> set[str]:
    return set(load(store.root / FOLDER / "runs"))


def assert_as_read_afresh(store: Store) -> None:
    with_cache, without = frames(store), frames(store, cache=False)
    for name in ("runs", "curves", "scores"):
        pd.testing.assert_frame_equal(getattr(with_cache, name), getattr(without, name))


@pytest.fixture
def later(monkeypatch):
    """Everything was written a minute ago."""
    monkeypatch.setattr(
        cache, "file_system_clock", lambda folder: folder.mkdir(exist_ok=True) or in_a_minute()
    )


def in_a_minute() -> int:
    return time.time_ns() + 60 * 10**9


@pytest.fixture
def reads(monkeypatch) -> list[str]:
    """Ids of the runs that are read from their files."""
    found, read = [], cache.read_rows
    monkeypatch.setattr(cache, "read_rows", lambda store, run_id: found.append(run_id) or read(store, run_id))
    return found


class Changes:
    """What can happen to a store; each to the run at some place, if it has one there."""

    def __init__(self, build) -> None:
        self.build, self.made = build, 0

    def new(self, _: RunDir | None) -> None:
        method = ("rft", "sft", "prefix_rft", "base")[self.made % 4]
        self.build.new(method, self.made)
        self.made += 1

    def append(self, run: RunDir) -> None:
        step = len(run.metrics()) + 1
        others = {} if step % 2 else {"note": "text", "clip": 0.1 * step}
        MetricsWriter(run.path).append(step, "train", {"reward": 1 / step, **others})

    def evaluate(self, run: RunDir) -> None:
        shutil.rmtree(run.path / "eval", ignore_errors=True)
        self.build.evaluate(run, np.array(DONE, dtype=bool))

    def begin(self, run: RunDir) -> None:
        StateWriter(run.path).attempt()

    def fail(self, run: RunDir) -> None:
        StateWriter(run.path).failed(RuntimeError(now()))

    def finish(self, run: RunDir) -> None:
        StateWriter(run.path).done()

    def damage(self, run: RunDir) -> None:
        with (run.path / "metrics.jsonl").open("a") as file:
            file.write("{\n")

    def mend(self, run: RunDir) -> None:
        (run.path / "metrics.jsonl").unlink(missing_ok=True)

    def delete(self, run: RunDir) -> None:
        shutil.rmtree(run.path)


NAMES = ("append", "evaluate", "begin", "fail", "finish", "damage", "mend", "delete")


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(["new", *NAMES]), st.integers(0, 3)), max_size=8))
def test_any_changes_leave_the_frames_as_they_are_read_afresh(build, later, tmp_path_factory, changes):
    store = Store(tmp_path_factory.mktemp("store"))
    happen = Changes(replace(build, store=store))
    for name, place in [("new", 0), ("append", 0), ("new", 0), *changes]:
        runs = store.runs()
        if name == "new" or runs:
            run = None if name == "new" else runs[place % len(runs)]
            # A damaged run cannot go on before it is mended.
            if run is None or name in ("mend", "delete") or not damaged(run):
                getattr(happen, name)(run)
        assert_as_read_afresh(store)
    assert kept(store) <= {run.id for run in store.runs()}


@pytest.mark.parametrize("name", NAMES)
def test_each_change_of_a_kept_run_is_seen(build, later, name):
    run = build.store.open(build.done("rft", 0, DONE).run_id)
    build.curve(run.id, [0.5], {})
    assert_as_read_afresh(build.store)
    before = frames(build.store)
    if name == "evaluate":
        build.evaluate(run, np.ones((2, 4), bool), "aime24", name="luffy")
    else:
        getattr(Changes(build), name)(run)
    assert_as_read_afresh(build.store)
    after = frames(build.store)
    assert any(
        not getattr(before, frame).equals(getattr(after, frame)) for frame in ("runs", "curves", "scores")
    )


def damaged(run: RunDir) -> bool:
    file = run.path / "metrics.jsonl"
    return file.exists() and b"{\n" in file.read_bytes()


def test_only_runs_that_changed_are_read_again(build, later, reads):
    cells = [build.done("rft", seed, DONE) for seed in range(4)]
    frames(build.store)
    assert sorted(reads) == sorted(cell.run_id for cell in cells)
    reads.clear()
    build.curve(cells[2].run_id, [0.5], {})
    new = build.done("sft", 0, DONE)
    frames(build.store)
    assert sorted(reads) == sorted([cells[2].run_id, new.run_id])
    reads.clear()
    frames(build.store)
    assert reads == []


def test_a_second_process_reads_no_run_that_the_first_has_read(build, later):
    cells = [build.done("rft", seed, DONE) for seed in range(3)]
    build.curve(cells[0].run_id, [0.25, 0.5], {})
    frames(build.store)
    code = (
        "import analysis.cache\n"
        "from analysis.results import frames\n"
        "from prefix_rft.runs.store import Store\n"
        "analysis.cache.read_rows = None\n"
        f"found = frames(Store({os.fspath(build.store.root)!r}))\n"
        "print(len(found.runs), found.curves['reward'].sum(), found.scores['run_id'].nunique())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["3", "0.75", "3"], done.stderr


def test_a_running_run_is_read_every_time(build, later, reads):
    cell = build.done("rft", 0, DONE)
    run = build.new("rft", 1)
    with RunLock(run.path):
        StateWriter(run.path).attempt()
        for lines in (1, 2, 3):
            MetricsWriter(run.path).append(lines, "train", {"reward": 0.5})
            assert (frames(build.store).curves["run_id"] == run.id).sum() == lines
    assert (reads.count(run.id), reads.count(cell.run_id)) == (3, 1)
    assert kept(build.store) == {cell.run_id}


def test_a_lost_run_that_somebody_takes_up_again_is_running(build, later):
    run = build.new("rft", 0)
    StateWriter(run.path).attempt()
    assert frames(build.store).runs["status"].tolist() == ["lost"]
    assert kept(build.store) == {run.id}
    with RunLock(run.path):
        assert frames(build.store).runs["status"].tolist() == ["running"]
    assert frames(build.store).runs["status"].tolist() == ["lost"]


def test_an_unreadable_run_is_never_kept(build, later):
    run = build.new("rft", 0)
    (run.path / "state.json").write_text("{")
    frames(build.store)
    assert kept(build.store) == set()


def test_some_cells_leave_what_is_kept_of_others(build, later, reads):
    cells = [build.done("rft", seed, DONE) for seed in range(3)]
    frames(build.store)
    build.curve(cells[0].run_id, [0.5], {})
    assert len(frames(build.store, cells[:1]).runs) == 1
    reads.clear()
    assert len(frames(build.store).runs) == 3
    assert reads == []


def test_deleted_runs_leave(build, later):
    cells = [build.done("rft", seed, DONE) for seed in range(3)]
    frames(build.store)
    shutil.rmtree(build.store.path(cells[0].run_id))
    assert set(frames(build.store).runs["run_id"]) == {cell.run_id for cell in cells[1:]}
    assert kept(build.store) == {cell.run_id for cell in cells[1:]}


def test_what_has_just_been_written_is_not_kept(build):
    cell = build.done("rft", 0, DONE)
    began = time.monotonic()
    frames(build.store)
    assert kept(build.store) == set() or time.monotonic() - began > 2
    time.sleep(2.1)
    frames(build.store)
    assert kept(build.store) == {cell.run_id}


def test_a_write_within_one_tick_of_a_coarse_clock_is_seen(build, monkeypatch):
    """Times in steps of two seconds, no inodes, and a file that keeps its size."""

    def coarse(nanoseconds: int) -> int:
        return nanoseconds // (2 * 10**9) * 2 * 10**9

    exact_stamp, exact_clock = cache_stamps.file_stamp, cache.file_system_clock
    stamp = lambda path: (*map(coarse, exact_stamp(path)[:2]), exact_stamp(path)[2], 0)  # noqa: E731
    monkeypatch.setattr(cache_stamps, "file_stamp", stamp)
    monkeypatch.setattr(cache, "file_system_clock", lambda folder: coarse(exact_clock(folder)))
    run = build.new("rft", 0)
    seen, written, stop = [], [], time.monotonic() + 4.5
    while time.monotonic() < stop:
        written.append(len(written) % 10 / 10)
        (run.path / "metrics.jsonl").write_text(f'{{"step": 1, "kind": "train", "reward": {written[-1]}}}\n')
        seen += frames(build.store).curves["reward"].tolist()
    assert seen == written


def test_nobody_takes_it_for_a_run(build, later):
    cell = build.done("rft", 0, DONE)
    frames(build.store)
    assert (build.store.root / FOLDER).is_dir()
    assert [cell_of(run) for run in build.store.runs()] == [cell]
    assert len(status_rows(build.store, pd.Timestamp.now("UTC"))) == 1
