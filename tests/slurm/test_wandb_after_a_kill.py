"""W&B online, and a job that is taken away without a warning: what its mirror had not sent yet comes later."""

from __future__ import annotations

import os
import signal

import pytest

from prefix_rft.runs.state import read_state
from slurm.testing.wandb_server import serving
from slurm.testing.wandb_views import FullServer

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

STEPS = 200


@pytest.fixture(scope="module")
def server():
    with serving(FullServer()) as found:
        yield found


@pytest.fixture(scope="module")
def door(new_sandbox, new_door, server):
    opened = new_door(new_sandbox(nodes=1, cpus=2))
    opened.environment.update(server.environment)
    opened.profile(at_a_time=1, warn_seconds=1)
    return opened


def kill_all(pid):
    """The training and all that it started, W&B's helper included, at once: as a node that goes down does."""
    doomed = [pid]
    for process in doomed:
        with open(f"/proc/{process}/task/{process}/children") as file:
            doomed += [int(child) for child in file.read().split()]
    for process in doomed:
        os.kill(process, signal.SIGKILL)


def test_the_curve_has_no_gap_after_a_kill_and_a_requeue_by_the_administrator(door, server):
    code, said = door.submit("method=rft", f"optimisation.rl.steps={STEPS}", "tracking=online")
    assert code == 0, said
    run = door.only("rft")
    door.wait(lambda: (run.state().step or 0) > 40, "some steps")
    door.wait((run.path / "wandb" / "position.json").exists, "the mirror")
    kill_all(read_state(run.path).pid)
    door.wait(door.over, "the end of the killed one")
    assert len(server.runs[run.id].history) < run.state().step
    assert door.cli("resume")[0] == 0
    door.wait(lambda: run.state().attempt == 2 and (run.state().step or 0) > 90, "more steps")
    for job in door.ask("squeue", "-h", "-t", "R", "-n", "prefix-rft-train", "-o", "%A").split():
        door.ask("scontrol", "requeue", job)
    door.start_again(run, 2)
    door.wait(door.over, "the end")
    row = server.runs[run.id]
    assert [line["_step"] for line in row.history] == list(range(1, STEPS + 1))
    own = {line["step"]: line["reward"] for line in run.metrics() if line["kind"] == "train"}
    assert {line["_step"]: line["train/reward"] for line in row.history} == own
