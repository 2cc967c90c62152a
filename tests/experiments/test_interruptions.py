"""Signals to a command and to its workers, and two commands at once: nothing is lost, nothing is done twice."""

from __future__ import annotations

import os
import signal

from prefix_rft.runs.lock import is_locked

STEPS = 150
COMMAND = (
    "--multirun",
    "method=rft",
    "seed=0,1",
    "launcher.workers=2",
    "evaluation.splits=[]",
    f"optimisation.rl.steps={STEPS}",
    "optimisation.rl.checkpoint_every=30",
)


def rows(run) -> int:
    file = run.path / "metrics.jsonl"
    return file.read_bytes().count(b"\n") if file.exists() else 0


def started_and_training(door, more: int = 3):
    """The command, its two runs, once both have written some more rows."""
    known = {run.id: rows(run) for run in door.store.runs()}
    command = door.start(*COMMAND)
    door.wait_for(lambda: len(door.store.runs()) == 3 or command.poll() is not None, "the run directories")
    both = [door.only("rft", seed) for seed in (0, 1)]
    for run in both:
        before = known.get(run.id, 0)
        door.wait_for(lambda run=run, before=before: _is_training(run, before + more), f"{run.id} trains")
    return command, both


def _is_training(run, enough: int) -> bool:
    return run.state().status == "done" or (is_locked(run.path) and rows(run) >= enough)


def test_killed_interrupted_and_continued(door):
    """One story, since each command continues where the one before was stopped."""
    # A worker is killed: it is said to have been, the other run goes on.
    command, (first, second) = started_and_training(door)
    os.kill(first.state().pid, signal.SIGKILL)
    code, said = door.end(command)
    assert code == 1
    assert f"{first.id}: killed by SIGKILL; the same command resumes it (log: " in said
    assert "1 of 3 runs failed:" in said
    assert [first.state().status, second.state().status] == ["lost", "done"]

    # The command is interrupted: its run saves its work.
    command, _ = started_and_training(door)
    command.send_signal(signal.SIGINT)
    code, said = door.end(command)
    assert code == 75
    assert said.splitlines()[-1] == "stopped; the same command continues where it left off"
    assert first.state().status == "queued"
    assert first.checkpoints()[-1].step == rows(first)

    # The command is killed: the kernel tells its worker, which saves its work.
    command, _ = started_and_training(door)
    command.kill()
    door.end(command)
    door.wait_for(lambda: not is_locked(first.path), "the worker leaves")
    assert first.state().status == "queued"
    assert first.checkpoints()[-1].step == rows(first)

    # Left alone it ends, and every step was recorded once.
    code, said = door.run(*COMMAND)
    assert code == 0, said
    steps = [row["step"] for row in first.metrics() if row["kind"] == "train"]
    assert steps == list(range(1, STEPS + 1))
    assert (first.state().attempt, second.state().attempt) == (4, 1)


def test_two_commands_at_once_share_the_work(door):
    """The second waits for runs that the first works on, and neither does what the other has done."""
    commands = [
        door.start("--multirun", "method=sft,rft", "seed=20", "evaluation.splits=[]") for _ in range(2)
    ]
    ended = [door.end(command) for command in commands]
    assert [code for code, _ in ended] == [0, 0], ended
    new = [door.only(method, 20) for method in ("sft", "rft")]
    for run in new:
        done = [event["stage"] for event in run.events() if event["event"] == "stage done"]
        assert len(done) == len(set(done)) == 1
