"""Files are read once, and again when they change."""

from __future__ import annotations

import numpy as np

from analysis.kept import until_changed
from analysis.reading import busy_seconds, read_run


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


def test_new_verdicts_are_seen_in_a_process_that_has_read_the_old(build):
    cell = build.done("sft", 0, np.zeros((10, 4), bool))
    (folder,) = (build.store.path(cell.run_id) / "eval" / "test").iterdir()
    (before,) = read_run(build.store, cell.run_id, "test").evaluations.values()
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    build.evaluate(build.store.open(cell.run_id), np.ones((12, 4), bool))
    (after,) = read_run(build.store, cell.run_id, "test").evaluations.values()
    assert (before.correct_QS.mean(), after.correct_QS.mean()) == (0, 1)


def test_only_the_protocol_that_is_asked_for_is_read(build):
    cell = build.done("sft", 0, np.zeros((10, 4), bool))
    assert read_run(build.store, cell.run_id, "test", "another-00000000").evaluations == {}
    assert read_run(build.store, cell.run_id).evaluations == {}
