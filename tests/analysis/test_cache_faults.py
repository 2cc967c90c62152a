"""What is kept is never trusted over the files, and never needed."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
import warnings

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import analysis.cache as cache
import analysis.cache_file as cache_file
from analysis.cache import FOLDER
from analysis.cache_file import load
from analysis.results import frames
from prefix_rft.runs.store import Store

DONE = [[1, 0], [0, 0]]


@pytest.fixture
def full(build, monkeypatch):
    """A store of three runs, all of them kept."""
    monkeypatch.setattr(
        cache, "file_system_clock", lambda folder: folder.mkdir(exist_ok=True) or time.time_ns() * 2
    )
    for seed in range(3):
        cell = build.done("rft", seed, DONE)
        build.curve(cell.run_id, [0.1, 0.2 + seed], {2: 0.5})
    frames(build.store)
    assert len(load(file_of(build.store))) == 3
    return build.store


def file_of(store: Store):
    return store.root / FOLDER / "runs"


def assert_right(store: Store) -> None:
    found, afresh = frames(store), frames(store, cache=False)
    for name in ("runs", "curves", "scores"):
        pd.testing.assert_frame_equal(getattr(found, name), getattr(afresh, name))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(0, 1, exclude_max=True), st.integers(0, 7))
def test_any_flipped_bit_is_noticed(full, place, bit):
    file, content = file_of(full), file_of(full).read_bytes()
    changed = bytearray(content)
    changed[int(place * len(content))] ^= 1 << bit
    file.write_bytes(changed)
    assert load(file) == {}
    file.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"\n",
        lambda content: content[:64],
        lambda content: content[:65],
        lambda content: content[: len(content) // 2],
        lambda content: content[:-1],
        lambda content: content + b"\n",
        lambda content: content[::-1],
        lambda content: content * 2,
    ],
)
def test_a_damaged_file_is_made_again(full, damage):
    file = file_of(full)
    file.write_bytes(damage(file.read_bytes()))
    assert load(file) == {}
    assert_right(full)
    assert len(load(file)) == 3


def test_what_other_code_wrote_is_made_again(full, monkeypatch):
    monkeypatch.setattr(cache_file, "_writer", lambda: "other")
    assert load(file_of(full)) == {}
    assert_right(full)
    assert len(load(file_of(full))) == 3


def test_the_code_that_reads_runs_is_in_the_writer(tmp_path, monkeypatch):
    class Package:
        __path__ = (os.fspath(tmp_path),)

    def digest(text: str) -> str:
        (tmp_path / "reading.py").write_text(text)
        cache_file._writer.cache_clear()
        return cache_file._writer()

    patterns = [pattern for _, some in cache_file._CODE for pattern in some]
    assert all(any(package.__path__) for package, _ in cache_file._CODE)
    assert {"reading.py", "evaluations.py", "frames.py", "settings/*.py"} <= set(patterns)
    monkeypatch.setattr(cache_file, "_CODE", ((Package, ("*.py",)),))
    try:
        assert digest("a = 1") == digest("a = 1") != digest("a = 2")
    finally:
        cache_file._writer.cache_clear()


def test_a_store_without_room_for_it_works_and_says_so_once(full):
    file = file_of(full)
    file.unlink()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.warns(RuntimeWarning, match=r"cannot keep in .*File too large.*cache=False"):
            assert_right(full)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert_right(full)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(file.parent.iterdir()) == []


def test_a_store_that_cannot_be_written_works_and_says_so(build):
    cell = build.done("rft", 0, DONE)
    (build.store.root / FOLDER).write_text("a file where the folder should be")
    with pytest.warns(RuntimeWarning, match="cannot keep in .*File exists"):
        assert frames(build.store).runs["run_id"].tolist() == [cell.run_id]


def test_a_store_that_may_only_be_read_uses_what_is_kept(full, monkeypatch):
    def refuse(folder) -> int:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(cache, "file_system_clock", refuse)
    monkeypatch.setattr(cache, "read_rows", None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(frames(full).runs) == 3


def test_runs_that_are_not_there_make_no_folder(build, tmp_path):
    cell = build.done("rft", 0, DONE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = frames(Store(tmp_path / "nowhere"), [cell])
    assert found.runs["standing"].tolist() == ["not started"]
    assert not (tmp_path / "nowhere").exists()


def test_what_a_killed_process_left_half_written_is_removed_after_an_hour(build):
    folder = build.store.root / FOLDER
    folder.mkdir(parents=True)
    old, new = folder / ".tmp-runs-00000000", folder / ".tmp-runs-11111111"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 4000,) * 2)
    build.done("rft", 0, DONE)
    frames(build.store)
    assert (old.exists(), new.exists()) == (False, True)


WRITER = """
import sys, time
import analysis.cache as cache
from analysis.cache_file import load
from analysis.results import frames
from prefix_rft.runs.metrics import MetricsWriter
from prefix_rft.runs.store import Store

cache.file_system_clock = lambda folder: folder.mkdir(exist_ok=True) or time.time_ns() * 2
store, run_id = Store(sys.argv[1]), sys.argv[2]
for step in range(1, 16):
    MetricsWriter(store.path(run_id)).append(step, "train", {"reward": step})
    found = frames(store).curves
    assert (found["run_id"] == run_id).sum() == step, (step, found)
    assert load(store.root / cache.FOLDER / cache._FILE), "torn"
"""


def test_two_processes_that_write_at_once_leave_a_valid_one(build, monkeypatch):
    cells = [build.done("rft", seed, DONE) for seed in range(4)]
    command = [sys.executable, "-c", WRITER, os.fspath(build.store.root)]
    both = [
        subprocess.Popen([*command, cell.run_id], stderr=subprocess.PIPE, text=True) for cell in cells[:2]
    ]
    errors = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    assert set(load(file_of(build.store))) == {cell.run_id for cell in cells}
    monkeypatch.setattr(cache, "file_system_clock", lambda folder: time.time_ns() * 2)
    assert_right(build.store)
    assert [path.name for path in (build.store.root / FOLDER).iterdir()] == ["runs"]
