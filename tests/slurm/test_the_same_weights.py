"""A run that SLURM interrupts as often as it may: its own file, as it takes as long as several others."""

from __future__ import annotations

import pytest

from prefix_rft.runs.store import Store

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

STEPS = 700
"""Rollout steps that no machine takes within the ten seconds before a job of a minute is told to save."""


def test_a_preempted_and_timed_out_training_ends_with_the_same_weights(new_sandbox, new_door, tmp_path):
    """Preempted by another partition, then out of time, then trained to its end: to the bit as never stopped."""
    door = new_door(new_sandbox(nodes=2, cpus=2))
    long = ("method=rft", "seed=5", f"optimisation.rl.steps={STEPS}", "tracking=disabled")
    code, said = door.run(*long, f"store={tmp_path}/undisturbed", "launcher.workers=1")
    assert code == 0, said
    door.profile(warn_seconds=50, minutes=1, max_requeues=100)
    code, said = door.submit(*long)
    assert code == 0, said
    run = door.only("rft", 5)
    door.wait(lambda: (run.state().step or 0) > 20, "the first steps")
    door.ask("sbatch", "-p", "high", "-n", "4", "-o", "/dev/null", "--wrap", "sleep 2")
    door.start_again(run, 1)
    door.wait(lambda: run.state().attempt >= 2, "the second attempt")
    while not run.stages.is_done("train"):
        door.start_again(run, run.state().attempt)
    door.wait(door.over, "the end")
    assert run.state().attempt >= 4  # preempted, out of time at least once, evaluated
    (undisturbed,) = [other for other in Store(tmp_path / "undisturbed").runs() if other.id == run.id]
    one, other = (each.checkpoints()[-1].path / "model.safetensors" for each in (run, undisturbed))
    assert one.read_bytes() == other.read_bytes()
    steps = [row["step"] for row in run.metrics() if row["kind"] == "train"]
    assert steps == list(range(1, STEPS + 1))
