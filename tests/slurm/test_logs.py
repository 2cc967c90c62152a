"""`prefix-rft logs --follow`: everything that is said, once, until the run is over, and Ctrl-C ends nothing else."""

from __future__ import annotations

import json

import pytest

from experiments.cluster import logs
from experiments.cluster.launch import Asked, book, submit_cells
from experiments.compose import compose_all
from experiments.worker import log_path
from prefix_rft.errors import RunError
from prefix_rft.runs.state import StateWriter
from prefix_rft.runs.store import Store
from slurm.profile import Profile
from slurm.testing.fake import FakeSlurm


@pytest.fixture
def script(monkeypatch):
    """What happens while the follower sleeps, one thing a time; the clock moves on so that SLURM is asked each time."""
    steps, clock = [], [0.0]

    def sleep(seconds):
        clock[0] += 100.0
        steps.pop(0)()

    monkeypatch.setattr(logs.time, "sleep", sleep)
    monkeypatch.setattr(logs.time, "monotonic", lambda: clock[0])
    return steps


@pytest.fixture
def slurm():
    return FakeSlurm()


@pytest.fixture
def run(tmp_path, slurm, monkeypatch):
    """A training and its evaluation, submitted as arrays 11 and 13 (its base model's are 12's and 14's)."""
    from experiments.cluster import launch

    monkeypatch.setattr(launch, "code", lambda store: store.root / "snapshot")
    submit_cells(compose_all([["method=rft", f"store={tmp_path}/runs"]]), Asked("sandbox"), slurm)
    return next(found for found in Store(tmp_path / "runs").runs() if found.kind == "train")


def ref(run, stage):
    return book(Store(run.path.parent)).places()[run.id, stage].ref


def says(run, text):
    with log_path(run).open("ab") as file:
        file.write(text)


def followed(run, slurm, lines=10):
    said = []
    code = logs.follow(Store(run.path.parent), run.id[:6], lines, said.append, slurm)
    return code, "".join(said)


def test_what_a_run_says_is_passed_on_until_it_failed(run, slurm, script):
    script += [
        lambda: says(run, b"one\ntw"),
        lambda: slurm.becomes(ref(run, "train"), "RUNNING"),
        lambda: says(run, "o [bold] ü".encode()[:-1]),
        lambda: says(run, "ü".encode()[-1:]),
        lambda: (
            slurm.becomes(ref(run, "train"), "FAILED", status=256),
            slurm.becomes(ref(run, "evaluate"), "CANCELLED", nodes=""),
            StateWriter(run.path).failed(ValueError("too hot"), log="run.log"),
            says(run, b"\nlast words\n"),
        ),
    ]
    code, said = followed(run, slurm)
    assert code == 1
    assert said == (
        f"==> {log_path(run)} <==\none\ntwo [bold] ü\nlast words\nrun {run.id} is failed: ValueError: too hot\n"
    )
    assert script == []


def test_both_logs_stand_under_their_names_and_a_requeued_job_is_followed_on(run, slurm, script):
    job = book(Store(run.path.parent)).log(book(Store(run.path.parent)).places()[run.id, "train"])
    says(run, b"".join(b"%d\n" % number for number in range(30)))
    script += [
        lambda: job.write_text("USR1, saved; back into the queue\n"),
        lambda: slurm.becomes(ref(run, "train"), "PENDING"),
        lambda: says(run, b"again\n"),
        lambda: slurm.becomes(ref(run, "train"), "CANCELLED"),
        lambda: slurm.becomes(ref(run, "evaluate"), "CANCELLED", nodes=""),
    ]
    code, said = followed(run, slurm, lines=2)
    own = f"==> {log_path(run)} <==\n"
    assert said.startswith(f"{own}28\n29\n==> {job} <==\nUSR1, saved; back into the queue\n{own}again\n")
    assert (code, "is cancelled: cancelled by hand" in said) == (1, True)


def test_a_silent_controller_is_not_the_end(run, slurm, script):
    script += [
        lambda: slurm.silent.append(True),
        lambda: says(run, b"still here\n"),
        slurm.silent.clear,
        lambda: [slurm.becomes(ref(run, stage), "CANCELLED") for stage in ("train", "evaluate")],
    ]
    assert "still here" in followed(run, slurm)[1]


def test_ctrl_c_ends_only_the_following(run, slurm, script, monkeypatch):
    def press():
        raise KeyboardInterrupt

    script += [lambda: says(run, b"one\n"), press]
    jobs = json.dumps(slurm.jobs)
    code, said = followed(run, slurm)
    assert code == 0
    assert said.endswith(f"nothing else was stopped: prefix-rft status, prefix-rft cancel {run.id}\n")
    assert json.dumps(slurm.jobs) == jobs


def test_a_run_without_jobs_is_followed_by_its_own_state(tmp_path, slurm, script):
    (config,) = compose_all([["method=rft", f"store={tmp_path}/local"]])
    from experiments.plan import plan

    task = plan([config]).tasks[-1]
    run = Store(tmp_path / "local").create(task.run.identity, config)
    script += [lambda: says(run, b"one\n"), lambda: StateWriter(run.path).done()]
    assert followed(run, slurm) == (0, f"==> {log_path(run)} <==\none\nrun {run.id} is done\n")


def test_a_run_that_found_no_room_is_not_waited_for(tmp_path, slurm, monkeypatch):
    from experiments.cluster import launch

    monkeypatch.setattr(launch, "code", lambda store: store.root / "snapshot")
    monkeypatch.setattr(launch.Asked, "profile", property(lambda asked: Profile(max_submitted=3)))
    submit_cells(compose_all([["method=rft", f"store={tmp_path}/full"]]), Asked("sandbox"), slurm)
    (left,) = [run for run in Store(tmp_path / "full").runs() if run.kind == "train"]
    with pytest.raises(RunError, match=f"{left.id} found no room in the queue yet: `prefix-rft resume`"):
        followed(left, slurm)


def test_a_replaced_file_is_read_from_its_beginning(tmp_path):
    path = tmp_path / "log"
    path.write_text("a\nb\nc\n")
    tail = logs.Tail(path, 1)
    assert (tail.read(), tail.read()) == ("c\n", "")
    (tmp_path / "new").write_text("d\n")
    (tmp_path / "new").replace(path)
    assert tail.read() == "d\n"
    path.write_text("")
    assert tail.read() == ""
    path.write_text("e\n")
    assert tail.read() == "e\n"
    assert logs.Tail(tmp_path / "none", 3).read() == ""
