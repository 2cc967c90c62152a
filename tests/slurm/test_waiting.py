"""`wait=true` and a queue that is full: what is left goes in as others end, and what failed is not tried again."""

from __future__ import annotations

import pytest

from experiments.cluster import follow as following
from experiments.cluster import launch
from experiments.cluster.launch import Asked, submit_cells
from experiments.compose import compose_all
from experiments.plan import plan
from prefix_rft.runs.lock import RunLock
from prefix_rft.runs.store import Store
from slurm.profile import Profile
from slurm.testing.fake import FakeSlurm, option


@pytest.fixture
def slurm(monkeypatch):
    monkeypatch.setattr(launch, "code", lambda store: store.root / "snapshot")
    return FakeSlurm()


@pytest.fixture
def full(monkeypatch):
    """A queue that takes one run at a time beside the last job."""
    monkeypatch.setattr(launch.Asked, "profile", property(lambda asked: Profile(max_submitted=3)))


@pytest.fixture
def cells(tmp_path, full):
    """Three trainings on one base model."""
    return compose_all(
        [["method=rft", f"optimisation.rl.steps={steps}", f"store={tmp_path}/runs"] for steps in (4, 5, 6)]
    )


class Clock:
    """While the follower sleeps, everything in the queue fails, and SLURM forgets it."""

    def __init__(self, slurm):
        self.slurm, self.now = slurm, 0.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += 100.0
        self.slurm.jobs.clear()

    def trainings(self):
        """How many were ever submitted."""
        return sum(option(script, "job-name") == "prefix-rft-train" for script in self.slurm.scripts)


@pytest.fixture
def clock(slurm, monkeypatch):
    found = Clock(slurm)
    monkeypatch.setattr(following.time, "sleep", found.sleep)
    monkeypatch.setattr(following.time, "monotonic", found.monotonic)
    return found


def test_what_failed_is_not_submitted_again_while_others_wait_for_room(slurm, cells, clock):
    """The base model fails: with room for one run at a time it would take the place of the others for ever."""
    submission = submit_cells(cells, Asked("sandbox"), slurm)
    assert len(submission.outcome.left) == 6
    report = following.follow(cells, Asked("sandbox"), submission, slurm)
    base = next(task.id for task in report.plan.tasks if task.run.parent_id is None)
    assert set(report.failures) == {task.id for task in report.plan.tasks}
    assert {report.failures[task.id] for task in report.plan.tasks if task.id != base} == {
        f"not started: train of {base} failed"
    }
    assert clock.trainings() == 1


def test_a_run_that_a_process_outside_slurm_lets_go_is_not_waited_for(slurm, clock, tmp_path, monkeypatch):
    model = ["model=pretrained", f"model.path={tmp_path}"]
    (tmp_path / "config.json").write_text("{}")
    cells = compose_all([["method=rft", *model, f"store={tmp_path}/runs"]])
    (task,) = plan(cells).tasks
    run = Store(tmp_path / "runs").create(task.run.identity, task.config)
    with RunLock(run.path):
        submission = submit_cells(cells, Asked("sandbox"), slurm)
    assert (submission.held, slurm.scripts) == ([run.id], [])
    report = following.follow(cells, Asked("sandbox"), submission, slurm)
    assert "has left it: the same command submits it" in report.failures[run.id]


def test_what_is_left_goes_in_one_after_the_other(slurm, full, clock, tmp_path):
    """Runs that need no other: each is submitted once, though all of them fail."""
    model = ["model=pretrained", f"model.path={tmp_path}"]
    (tmp_path / "config.json").write_text("{}")
    cells = compose_all(
        [["method=rft", f"seed={seed}", *model, f"store={tmp_path}/runs"] for seed in (0, 1, 2)]
    )
    submission = submit_cells(cells, Asked("sandbox"), slurm)
    report = following.follow(cells, Asked("sandbox"), submission, slurm)
    assert len(report.failures) == 3
    assert clock.trainings() == 3
