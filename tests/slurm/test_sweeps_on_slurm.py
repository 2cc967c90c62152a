"""`python -m experiments.run --multirun ... hydra/launcher=slurm` on a real SLURM: tiny runs, trained for real."""

from __future__ import annotations

import json
import os
import re
import signal

import pytest

pytestmark = [pytest.mark.slurm, pytest.mark.slow]


@pytest.fixture(scope="module")
def door(new_sandbox, new_door):
    opened = new_door(new_sandbox(nodes=2, cpus=2))
    opened.profile(at_a_time=2, warn_seconds=1)
    return opened


@pytest.fixture(scope="module")
def swept(door):
    """SFT and RFT of a few steps, one base model."""
    tags = "tracking.tags=['a b','$(touch pwned)']"
    code, said = door.submit("method=sft,rft", "optimisation.rl.steps=4", "tracking=offline", tags)
    assert code == 0, said
    return said


def test_a_sweep_is_submitted_once_and_runs(door, swept):
    assert re.search(r"3 runs: 3 submitted as 7 jobs in 5 arrays", swept), swept
    code, said = door.submit("method=sft,rft", "optimisation.rl.steps=4", "tracking=offline")
    assert (code, said.splitlines()[0]) == (0, "3 runs: 0 submitted, 3 in the queue before")
    door.wait(door.over, "the sweep")
    assert {run.state().status for run in door.store.runs()} == {"done"}
    code, said = door.submit("method=sft,rft", "optimisation.rl.steps=4", "tracking=offline")
    assert (code, said.splitlines()[0]) == (0, "3 runs: 0 submitted, 3 done before")


def test_the_jobs_ran_the_snapshot_and_say_which_code_it_was(door, swept):
    door.wait(door.over, "the sweep")
    provenance = json.loads((door.only("sft").path / "provenance.json").read_text())
    (snapshot,) = (door.store.root / "slurm" / "snapshots").iterdir()
    assert provenance["source"] == json.loads((snapshot / "SNAPSHOT.json").read_text())
    scripts = [path.read_text() for path in door.store.root.glob("slurm/arrays/*/script.sh")]
    assert all(snapshot.name in script for script in scripts)


def test_tags_arrive_intact_and_the_key_is_nowhere(door, swept):
    door.wait(door.over, "the sweep")
    assert door.only("sft").config().tracking.tags == ("a b", "$(touch pwned)")
    assert not list(door.folder.rglob("pwned"))
    files = [path for path in door.folder.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert [path for path in files if door.secret.encode() in path.read_bytes()] == []


def test_the_metrics_are_mirrored_when_everything_is_over(door, swept):
    door.wait(door.over, "the sweep")
    run = door.only("rft")
    assert len(list((run.path / "wandb").glob(f"**/run-{run.id}.wandb"))) == 1


def test_status_shows_the_runs(door, swept):
    code, said = door.cli("status")
    assert code == 0
    assert "SLURM" in said
    assert door.only("rft").id in said


def test_what_is_killed_is_resumed_and_nothing_else(door, swept):
    door.profile(at_a_time=2, warn_seconds=1)
    code, said = door.submit("method=rft", "seed=0,6", "optimisation.rl.steps=4,90", "tracking=disabled")
    assert code == 0, said
    runs = {run.id: run for run in door.store.runs() if run.kind == "train"}
    killed = next(
        run for run in runs.values() if (run.config().seed, run.config().optimisation.rl.steps) == (6, 90)
    )
    door.wait(lambda: (killed.state().step or 0) > 3, "some steps")
    os.kill(int(killed.state().pid), 9)
    door.wait(door.over, "all but the killed one")
    code, said = door.cli("status")
    assert f"{killed.id}: killed by SIGKILL on n" in said
    assert re.search(r"\b1 lost\b", said), said
    code, said = door.cli("logs", killed.id)
    assert code in (0, 2)
    code, said = door.cli("resume")
    assert code == 0
    assert "1 submitted as 3 jobs in 3 arrays" in said
    code, said = door.cli("resume")
    assert said.startswith("none is failed or lost"), said
    door.wait(door.over, "the resumed one")
    assert killed.state().status == "done"


def test_following_ends_with_the_run_and_ctrl_c_ends_nothing_but_the_following(door, swept):
    code, said = door.submit("method=rft", "seed=9", "optimisation.rl.steps=150", "tracking=disabled")
    assert code == 0, said
    run = door.only("rft", 9)
    first = door.start("experiments.cli", "logs", run.id, "--follow")
    door.wait(lambda: (run.state().step or 0) > 3, "some steps")
    first.send_signal(signal.SIGINT)
    said, _ = first.communicate(timeout=60)
    assert first.returncode == 0
    assert "nothing else was stopped" in said
    second = door.start("experiments.cli", "logs", run.id, "--follow", "-n", "5")
    said, _ = second.communicate(timeout=300)
    assert second.returncode == 0
    assert said.rstrip().endswith(f"run {run.id} is done")
    assert run.state().status == "done"
    code, said = door.cli("logs", "--follow", run.id)
    assert (code, said.splitlines()[-1]) == (0, f"run {run.id} is done")


def test_waiting_ends_with_the_cells_and_with_1_where_one_failed(door, swept):
    """Without demonstrations SFT has nothing to learn from, which shows only once the data is read."""
    code, said = door.submit(
        "method=sft", "data.demonstration_coverage=0.0", "tracking=disabled", "wait=true"
    )
    assert code == 1
    assert "1 of 2 runs failed" in said


def test_a_cancelled_run_stays_cancelled(door, swept):
    code, said = door.submit("method=rft", "seed=8", "optimisation.rl.steps=500", "tracking=disabled")
    run = door.only("rft", 8)
    door.wait(lambda: (run.state().step or 0) > 3, "some steps")
    code, said = door.cli("cancel", run.id[:6])
    assert (code, "2 jobs cancelled" in said) == (0, True), said
    door.wait(door.over, "the end")
    assert run.checkpoints()  # it saved
    assert "1 cancelled" in door.cli("status")[1]
    assert "none of these runs is failed or lost" in door.cli("resume", run.id[:6])[1]
