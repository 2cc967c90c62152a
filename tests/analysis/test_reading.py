"""Files are read once, and again when they change; what cannot be read is one run's affair."""

from __future__ import annotations

import os

import numpy as np

from analysis.kept import until_changed
from analysis.reading import busy_seconds, read_run

TEST = {"test": None}


def at(second: int, event: str) -> dict[str, str]:
    return {"time": f"2026-11-21T10:00:{second:02d}+00:00", "event": event}


def test_work_is_from_each_attempt_to_the_last_thing_it_recorded():
    events = [
        at(0, "created"),
        at(5, "attempt"),
        at(9, "stage"),
        at(30, "attempt"),
        at(36, "stage done"),
        at(40, "done"),
    ]
    # 4 s until the killed attempt's last word, and 10 s.
    assert busy_seconds(events) == 14
    assert busy_seconds([at(0, "created")]) == 0


def test_content_is_kept_until_its_file_changes(tmp_path):
    reads = []

    @until_changed("a.txt")
    def read(folder):
        reads.append(folder)
        return (folder / "a.txt").read_text()

    (tmp_path / "a.txt").write_text("one")
    assert [read(tmp_path), read(tmp_path)] == ["one", "one"]
    (tmp_path / "a.txt").write_text("longer")
    assert (read(tmp_path), len(reads)) == ("longer", 2)


def test_a_file_of_the_same_size_and_time_in_its_place_is_another_file(tmp_path):
    @until_changed("a.txt")
    def read(folder):
        return (folder / "a.txt").read_text()

    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "b.txt").write_text("two")
    times = (1_700_000_000_000_000_000,) * 2
    for name in ("a.txt", "b.txt"):
        os.utime(tmp_path / name, ns=times)
    before = read(tmp_path)
    (tmp_path / "b.txt").replace(tmp_path / "a.txt")
    assert (before, read(tmp_path)) == ("one", "two")


def test_new_verdicts_are_seen_in_a_process_that_has_read_the_old(build):
    cell = build.done("sft", 0, np.zeros((10, 4), bool))
    (folder,) = (build.store.path(cell.run_id) / "eval" / "test").iterdir()
    (before,) = read_run(build.store, cell.run_id, TEST).evaluations["test"].values()
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    build.evaluate(build.store.open(cell.run_id), np.ones((12, 4), bool))
    (after,) = read_run(build.store, cell.run_id, TEST).evaluations["test"].values()
    assert (before.correct_QS.mean(), after.correct_QS.mean()) == (0, 1)


def test_only_the_protocol_that_is_asked_for_is_read(build):
    cell = build.done("sft", 0, np.zeros((10, 4), bool))
    assert read_run(build.store, cell.run_id, {"test": "another-00000000"}).evaluations == {"test": {}}
    assert read_run(build.store, cell.run_id).evaluations == {}


def test_only_the_parts_that_are_asked_for_are_read(build):
    cell = build.on_benchmarks("sft", 0, {"aime24": np.eye(4), "math500": np.ones((4, 4))})
    found = read_run(build.store, cell.run_id, {"math500": None, "amc23": None}).evaluations
    assert {part: len(folders) for part, folders in found.items()} == {"math500": 1, "amc23": 0}


def test_an_event_or_a_row_that_is_none_makes_a_run_unreadable_and_is_named(build):
    for seed, (name, line) in enumerate(
        {
            "events.jsonl": '{"event": "done"}',
            "metrics.jsonl": '{"step": 1, "reward": 0.5}',
            "provenance.json": "[]",
        }.items()
    ):
        run = build.new("sft", seed)
        (run.path / name).write_text(line + "\n")
        record = read_run(build.store, run.id)
        assert (record.standing, record.state) == ("unreadable: RunError", None)
        assert name in record.damage


def test_a_file_that_the_system_refuses_makes_a_run_unreadable(build):
    run = build.new("sft", 0)
    (run.path / "metrics.jsonl").mkdir()
    assert read_run(build.store, run.id).standing == "unreadable: IsADirectoryError"
