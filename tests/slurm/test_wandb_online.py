"""W&B online, the real client against a server on this machine: a requeued job continues its curve."""

from __future__ import annotations

import base64

import pytest

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


@pytest.fixture(scope="module")
def run(door):
    """Preempted twice by another partition, each time online."""
    code, said = door.submit("method=rft", f"optimisation.rl.steps={STEPS}", "tracking=online")
    assert code == 0, said
    trained = door.only("rft")
    for attempt in (1, 2):
        door.wait(lambda: (trained.state().step or 0) > 40 * attempt, "some steps")  # noqa: B023
        door.ask("sbatch", "-p", "high", "-n", "2", "-o", "/dev/null", "--wrap", "sleep 2")
        door.start_again(trained, attempt)
    door.wait(door.over, "the end")
    assert trained.state().attempt == 4  # the last one evaluates
    return trained


def test_every_step_is_in_the_curve_once_and_the_values_are_the_runs(run, server):
    row = server.runs[run.id]
    assert [line["_step"] for line in row.history] == list(range(1, STEPS + 1))
    own = {line["step"]: line["reward"] for line in run.metrics() if line["kind"] == "train"}
    assert {line["_step"]: line["train/reward"] for line in row.history} == own


def test_every_attempt_continues_one_run(run, door, server):
    row = server.runs[run.id]
    assert len(row.opened) >= 3
    assert row.resumed == [False] + [True] * (len(row.opened) - 1)
    assert {(start["name"], start["project"]) for start in row.opened} == {(run.id, "prefix-rft")}
    assert {name.partition("-")[0] for name in server.runs} <= {other.id for other in door.store.runs()}


def test_nothing_was_left_out(run):
    assert "mirror incomplete" not in {event["event"] for event in run.events()}


def test_the_key_reaches_the_server_and_lies_nowhere(run, door, server):
    packed = base64.b64encode(f"api:{door.secret}".encode())
    assert server.keys - {""} == {f"Basic {packed.decode()}"}
    files = [path.read_bytes() for path in door.folder.rglob("*") if path.is_file()]
    assert len(files) > 50
    assert not any(door.secret.encode() in content or packed in content for content in files)
