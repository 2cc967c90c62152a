"""Which runs are started when, and what becomes of them; the workers are scripted."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field

import pytest

from experiments import execute as module
from experiments.execute import execute
from experiments.exits import CellsFailedError, CellsInterruptedError
from experiments.plan import plan
from experiments.worker import FAILED, INTERRUPTED, LOCKED
from prefix_rft.errors import SettingsError
from prefix_rft.runs.lock import RunLock
from prefix_rft.runs.state import StateWriter
from prefix_rft.settings import RunConfig, parse


@dataclass
class Scripted:
    """A worker that takes some polls and ends with a code; code 0 leaves a finished run."""

    code: int
    polls: int = 1
    stopped: bool = False

    def poll(self):
        self.polls -= 1
        return None if self.polls >= 0 else self.code

    def send_signal(self, number):
        assert number == signal.SIGTERM
        self.code, self.polls = INTERRUPTED, 0


@dataclass
class Workers:
    """Stands in for processes: by the name of the run, how its workers end, one after the other."""

    ends: dict[str, list[int]] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)
    most_at_once: int = 0
    live: dict[str, Scripted] = field(default_factory=dict)
    finished: set[str] = field(default_factory=set)
    names: dict[str, str] = field(default_factory=dict)

    def start(self, run, task):
        name = "base" if task.run.identity.kind == "base" else f"{task.config.method.name} {task.config.seed}"
        self.names[run.id] = name
        self.live = {known: worker for known, worker in self.live.items() if worker.polls >= 0}
        codes = self.ends.get(name, [0])
        code = codes.pop(0) if len(codes) > 1 else codes[0]
        worker = self.live[name] = Scripted(code)
        self.started.append(name)
        self.most_at_once = max(self.most_at_once, len(self.live))
        if code == 0:
            self.finished.add(run.id)
        return worker

    def close(self):
        assert all(worker.polls < 0 for worker in self.live.values())

    def is_complete(self, run, task):
        return run.id in self.finished


@pytest.fixture
def workers(monkeypatch):
    scripted = Workers()
    monkeypatch.setattr(module, "Nursery", lambda threads: scripted)
    monkeypatch.setattr(module, "is_complete", scripted.is_complete)
    monkeypatch.setattr(module, "_POLL_SECONDS", 0.0)
    monkeypatch.setattr(module._Executor, "_is_trained", lambda self, run_id: run_id in self.report.done)
    return scripted


@pytest.fixture
def cell(tmp_path):
    """The configuration of a method and a seed."""

    def make(method: str, seed: int = 0, **sections) -> RunConfig:
        values = {
            "method": {"name": method},
            "model": {"kind": "tiny"},
            "data": {"kind": "chain"},
            "tracking": {"wandb": "disabled"},
            "launcher": {"workers": 2},
            "seed": seed,
            "store": str(tmp_path / "runs"),
        }
        return parse(RunConfig, values | sections)

    return make


def test_parents_come_first_and_every_run_once(workers, cell):
    report = execute([cell("sft"), cell("sft_rft"), cell("sft")])
    assert workers.started == ["base", "sft 0", "sft_rft 0"]
    assert len(report.done) == 3
    report.raise_for_failures()


def test_no_more_runs_at_a_time_than_workers(workers, cell):
    execute([cell("rft", seed) for seed in range(5)])
    assert workers.most_at_once == 2


def test_a_parent_is_looked_at_once_however_many_wait_for_it(workers, cell, monkeypatch):
    looked, walks = [], []
    walk = module._Executor._start_ready

    def is_trained(self, run_id):
        looked.append((len(walks), run_id))
        return run_id in self.report.done

    monkeypatch.setattr(module._Executor, "_is_trained", is_trained)
    monkeypatch.setattr(module._Executor, "_start_ready", lambda self: (walks.append(1), walk(self)))
    report = execute([cell("rft", seed) for seed in range(20)])
    assert len(report.done) == 21
    assert len(looked) == len(set(looked)) <= len(walks)


def test_a_failed_parent_fails_its_children_and_nothing_else(workers, cell):
    workers.ends = {"sft 0": [FAILED]}
    report = execute([cell("sft_rft"), cell("rft")])
    assert workers.started == ["base", "sft 0", "rft 0"]
    with pytest.raises(
        CellsFailedError, match=r"2 of 4 runs failed:\n.*exit code 1.*\n.*needs run \w+, which failed"
    ):
        report.raise_for_failures()


def test_a_failed_base_fails_everything(workers, cell):
    workers.ends = {"base": [-signal.SIGKILL]}
    report = execute([cell("sft_rft"), cell("rft")])
    assert workers.started == ["base"]
    assert len(report.failures) == 4


def test_a_run_that_another_command_has_just_taken_is_waited_for(workers, cell):
    workers.ends = {"rft 0": [LOCKED, LOCKED, 0]}
    report = execute([cell("rft")])
    assert workers.started == ["base", "rft 0", "rft 0", "rft 0"]
    assert report.failures == {}


def test_a_run_that_another_command_works_on_is_not_started(workers, cell, monkeypatch):
    (base, task) = plan([cell("rft")]).tasks
    path = module.Store(cell("rft").store).create(task.run.identity, task.config).path
    lock = RunLock(path)
    lock.acquire()
    looks = []

    def release_after_three_looks(run_path):
        looks.append(run_path)
        if len(looks) == 3:
            workers.finished.add(task.id)
            lock.release()
        return run_path == path and len(looks) < 3

    monkeypatch.setattr(module, "is_locked", release_after_three_looks)
    report = execute([cell("rft")])
    assert workers.started == ["base"]
    assert report.done == {base.id, task.id}
    assert report.touched == {base.id}


def test_an_interrupt_stops_live_runs_and_starts_no_other(workers, cell, monkeypatch):
    def start(run, task):
        worker = Workers.start(workers, run, task)
        if workers.started[-1] == "rft 0":
            worker.polls = 10**6
            os.kill(os.getpid(), signal.SIGTERM)
        return worker

    monkeypatch.setattr(workers, "start", start)
    before = signal.getsignal(signal.SIGTERM)
    report = execute([cell("rft", seed) for seed in range(3)])
    assert signal.getsignal(signal.SIGTERM) is before
    assert workers.started == ["base", "rft 0"]
    assert report.failures == {}
    with pytest.raises(CellsInterruptedError, match=r"^stopped; the same command continues"):
        report.raise_for_failures()


def test_what_failed_before_an_interrupt_is_still_said(workers, cell):
    report = execute([cell("rft")])
    report.failures, report.interrupted = {"0123456789ab": "RuntimeError: x"}, True
    with pytest.raises(
        CellsInterruptedError, match=r"1 of 2 runs failed:\n  0123456789ab: RuntimeError: x\nstopped"
    ):
        report.raise_for_failures()


def test_a_worker_stopped_by_somebody_else_is_reported(workers, cell):
    workers.ends = {"rft 0": [INTERRUPTED]}
    (why,) = execute([cell("rft")]).failures.values()
    assert why.startswith("stopped by a signal after it saved its work; the same command resumes it (log: ")


def test_the_error_of_a_failed_run_is_said_in_one_line(workers, cell, monkeypatch):
    def start(run, task):
        if task.config.seed == 0 and task.run.parent_id:
            StateWriter(run.path).failed(ValueError("first\nsecond"), log="run.log")
        return Workers.start(workers, run, task)

    monkeypatch.setattr(workers, "start", start)
    workers.ends = {"rft 0": [FAILED]}
    (why,) = execute([cell("rft")]).failures.values()
    assert why.startswith("ValueError: first (log: ")


def test_a_damaged_run_directory_is_that_runs_failure_alone(workers, cell):
    damaged = plan([cell("rft", 1)]).tasks[-1]
    path = module.Store(cell("rft").store).create(damaged.run.identity, damaged.config).path
    (path / "identity.json").write_text("{")
    report = execute([cell("rft", 0), cell("rft", 1)])
    assert workers.started == ["base", "rft 0"]
    (why,) = report.failures.values()
    assert why.startswith("RunError: ")
    assert "identity.json" in why


@pytest.mark.parametrize("section", [{"store": "elsewhere"}, {"launcher": {"workers": 1}}])
def test_cells_of_different_stores_or_launchers_are_refused(workers, cell, section):
    with pytest.raises(SettingsError, match=f"share their {next(iter(section))}"):
        execute([cell("rft"), cell("sft", **section)])
    assert workers.started == []


def test_one_run_asked_for_under_two_evaluations_is_one_task(cell):
    twice = [cell("rft", evaluation={"samples": n, "pass_at": [1]}) for n in (4, 8, 4)]
    planned = plan(twice)
    assert len(planned.cells) == 3
    assert [len(task.asked) for task in planned.tasks] == [2, 2]
    assert [config.evaluation.samples for config in planned.tasks[-1].asked] == [4, 8]
