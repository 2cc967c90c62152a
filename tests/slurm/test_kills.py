"""The submitting process killed at random moments: every job is submitted once, whatever the book had of it."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

KILLS = 12


def test_a_submission_killed_at_random_moments_submits_each_job_once(cells):
    cells.add("first")
    began = time.monotonic()
    cells.submit()
    longest = time.monotonic() - began
    print(f"random.Random('submission').uniform(0, {longest:.3f})")
    chance, landed = random.Random("submission"), 0
    for number in range(2 * KILLS):
        cells.add(f"cell{number}")
        pid = os.fork()
        if pid == 0:
            cells.submit()
            os._exit(0)
        time.sleep(chance.uniform(0, longest))
        os.kill(pid, signal.SIGKILL)
        landed += os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
        if landed == KILLS:
            break
    print(f"{landed} kills landed")
    assert landed == KILLS
    cells.submit()
    assert set(cells.settle().values()) == {("done", "done")}
    begun = {
        (name, stage): len(cells.begun(name, stage))
        for name in cells.names
        for stage in ("train", "evaluate")
    }
    assert set(begun.values()) == {1}, begun
    assert not any(entry.open for entry in cells.book.entries())
