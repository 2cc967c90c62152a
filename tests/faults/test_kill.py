"""A training process that is killed or asked to stop, and started again, ends as if nothing had happened."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments.worker import INTERRUPTED
from prefix_rft.runs.checkpoint import list_checkpoints, verify

MakeJob = Callable[..., Any]


def _optimisation(checkpoint_every: int) -> dict[str, Any]:
    common = {"checkpoint_every": checkpoint_every, "questions_per_step": 6, "learning_rate": 1e-2}
    return {
        "sft": {"epochs": 8, "validate_every": 0, **common},
        "rl": {"steps": 24, "mini_batches": 2, "validate_every": 5, **common},
    }


@pytest.mark.parametrize(
    ("method", "checkpoint_every", "kills"),
    # Those that save at every step are writing a checkpoint most of the time.
    [
        ("sft", 1, 1),
        pytest.param("sft", 1, 3, marks=pytest.mark.slow),
        pytest.param("prefix_rft", 5, 3, marks=pytest.mark.slow),
    ],
)
def test_killed_at_random_and_resumed_to_the_same_bits(
    make_job: MakeJob, tmp_path: Path, method: str, checkpoint_every: int, kills: int
) -> None:
    optimisation = _optimisation(checkpoint_every)
    straight = make_job(method, store=tmp_path / "straight", optimisation=optimisation)
    straight.finish_here()
    job = make_job(method, optimisation=optimisation)
    chance = random.Random(method)
    for lowest in (2, 9, 16)[:kills]:
        rows, delay = chance.randrange(lowest, lowest + 6), chance.uniform(0, 0.02)
        assert job.signal_after(rows, signal.SIGKILL, delay)[0] == -signal.SIGKILL
        assert job.run.state().status == "lost"
        for checkpoint in list_checkpoints(job.run.path):
            verify(checkpoint)
    assert job.finish() == (0, "")
    assert job.run.state().status == "done"
    assert job.run.state().attempt == kills + 1
    assert job.result() == straight.result()
    assert job.result()["step"] == 24


def test_asked_to_stop_it_saves_its_last_step_and_goes_on_to_the_same_bits(
    make_job: MakeJob, tmp_path: Path
) -> None:
    optimisation = _optimisation(checkpoint_every=0)
    straight = make_job(store=tmp_path / "straight", optimisation=optimisation)
    straight.finish_here()
    job = make_job(optimisation=optimisation)
    for rows, number in ((3, signal.SIGTERM), (12, signal.SIGUSR1)):
        code, said = job.signal_after(rows, number)
        step = max(row["step"] for row in job.run.metrics())
        assert (code, said) == (INTERRUPTED, f"interrupted: {number.name} at rollout step {step} of 24\n")
        assert job.run.checkpoints()[-1].step == step
        assert job.run.state().status == "queued"
    assert job.finish() == (0, "")
    assert job.result() == straight.result()
    assert [event["event"] for event in job.run.events()].count("queued") == 2
