"""`python -m experiments.run --multirun ... hydra/launcher=slurm` on a real SLURM: tiny runs, trained for real."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from prefix_rft.runs.store import Store

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

STEPS = 700
"""Rollout steps that no machine takes within the ten seconds before a job of a minute is told to save."""
PATIENCE_SECONDS = 300.0
SECRET = "0123456789abcdef" * 2 + "secret42"
TINY = (
    *(
        f"optimisation.rl.{setting}"
        for setting in ("questions_per_step=4", "validate_every=0", "checkpoint_every=50")
    ),
    *(f"optimisation.sft.{setting}" for setting in ("epochs=1", "questions_per_step=16", "validate_every=0")),
    *(f"data.{split}_questions={count}" for split, count in (("train", 32), ("validation", 4), ("test", 6))),
    *(f"evaluation.{setting}" for setting in ("protocol=tiny", "samples=2", "pass_at=[1]")),
    *(
        f"model.{phase}_steps={count}"
        for phase, count in (("single", 0), ("skill", 0), ("polish", 1), ("habit", 1))
    ),
    *(f"model.architecture.{size}" for size in ("hidden_size=16", "intermediate_size=32", "layers=1")),
)


@dataclass
class Door:
    """Commands in one folder, whose name holds what a shell would trip over."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def store(self) -> Store:
        return Store(self.folder / "runs")

    def say(self, *command: str) -> tuple[int, str]:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "WANDB_API_KEY": SECRET, **self.environment}
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
        return done.returncode, done.stdout + done.stderr

    def run(self, *arguments: str) -> tuple[int, str]:
        return self.say("experiments.run", "--multirun", *TINY, *arguments)

    def submit(self, *arguments: str) -> tuple[int, str]:
        return self.run("hydra/launcher=slurm", "cluster=profile.yaml", *arguments)

    def cli(self, *arguments: str) -> tuple[int, str]:
        return self.say("experiments.cli", *arguments)

    def profile(self, **changes: object) -> None:
        resources = {"partition": "low", "minutes": changes.pop("minutes", 30)}
        (self.folder / "profile.yaml").write_text(yaml.safe_dump({"resources": resources, **changes}))

    def wait(self, condition, what: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"{what}\n{self.cli('status')[1]}"
            time.sleep(0.2)

    def over(self) -> bool:
        return not self.ask("squeue", "-h", "--me").strip()

    def ask(self, *command: str) -> str:
        done = subprocess.run(command, env={**os.environ, **self.environment}, capture_output=True, text=True)
        return done.stdout

    def only(self, method: str, seed: int = 0):
        (found,) = [
            run
            for run in self.store.runs()
            if run.kind == "train" and (run.config().method.name, run.config().seed) == (method, seed)
        ]
        return found


@pytest.fixture(scope="module")
def door(new_sandbox, tmp_path_factory):
    cluster = new_sandbox(nodes=2, cpus=2)
    folder = tmp_path_factory.mktemp("door") / 'it\'s $HOME `id`\n"here"'
    folder.mkdir()
    opened = Door(folder, cluster.environment)
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
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []


def test_the_metrics_are_mirrored_when_everything_is_over(door, swept):
    door.wait(door.over, "the sweep")
    assert len(list((door.only("rft").path / "wandb").glob("**/*.wandb"))) == 1


def test_status_shows_the_runs(door, swept):
    code, said = door.cli("status")
    assert code == 0
    assert "SLURM" in said
    assert door.only("rft").id in said


def test_a_preempted_and_timed_out_training_ends_with_the_same_weights(door, swept, tmp_path):
    """Preempted by another partition, then out of time, then trained to its end: to the bit as never stopped."""
    long = ("method=rft", "seed=5", f"optimisation.rl.steps={STEPS}", "tracking=disabled")
    code, said = door.run(*long, f"store={tmp_path}/undisturbed", "launcher.workers=1")
    assert code == 0, said
    door.profile(warn_seconds=50, minutes=1, max_requeues=100)
    code, said = door.submit(*long)
    assert code == 0, said
    run = door.only("rft", 5)
    door.wait(lambda: (run.state().step or 0) > 20, "the first steps")
    door.ask("sbatch", "-p", "high", "-n", "4", "-o", "/dev/null", "--wrap", "sleep 2")
    again(door, run, 1)
    door.wait(lambda: run.state().attempt >= 2, "the second attempt")
    while not run.stages.is_done("train"):
        again(door, run, run.state().attempt)
    door.wait(door.over, "the end")
    assert run.state().attempt >= 4  # preempted, out of time at least once, evaluated
    (undisturbed,) = [other for other in Store(tmp_path / "undisturbed").runs() if other.id == run.id]
    one, other = (each.checkpoints()[-1].path / "model.safetensors" for each in (run, undisturbed))
    assert one.read_bytes() == other.read_bytes()
    steps = [row["step"] for row in run.metrics() if row["kind"] == "train"]
    assert steps == list(range(1, STEPS + 1))


def again(door, run, attempt):
    """Wait until the job is back in the queue (or its training done), and start it without SLURM's two minutes."""

    def requeued():
        return "PENDING" in door.ask("squeue", "-h", "-n", "prefix-rft-train", "-o", "%T")

    door.wait(lambda: requeued() or run.stages.is_done("train"), "the requeue")
    for job in door.ask("squeue", "-h", "-t", "PD", "-n", "prefix-rft-train", "-o", "%A").split():
        door.ask("scontrol", "update", f"JobId={job}", "StartTime=now+3")
    door.wait(lambda: run.state().attempt > attempt or run.stages.is_done("train"), "the next attempt")


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
