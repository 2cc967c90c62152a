"""Killed again and again, at random moments of a second's fraction, everything ends as if it had never been killed.

The moments come from a seed that is printed; a kill counts where the process died of it. `KILLS` says how many of them
every test must see, and together they are more than fifty.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from experiments.plan import plan
from experiments.processes import Nursery, Worker
from prefix_rft.grading import Grader, make_grader
from prefix_rft.runs.atomic import TEMPORARY
from prefix_rft.runs.checkpoint import list_checkpoints, verify
from prefix_rft.runs.lock import holder
from prefix_rft.settings.grading import GradingSettings

MakeJob = Callable[..., Any]
KILLS = {"prefix_rft": 20, "relift": 10, "evaluation": 12, "grading": 8}
PATIENCE_SECONDS = 60.0


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    nursery = Nursery(threads=1)
    yield nursery
    nursery.close()


def moments(name: str, longest: float) -> Iterator[float]:
    """Seconds until the next kill, for ever."""
    print(f"kills of {name}: random.Random({name!r}).uniform(0, {longest:.3f})")
    chance = random.Random(name)
    while True:
        yield chance.uniform(0, longest)


def ended(worker: Worker, seconds: float = PATIENCE_SECONDS) -> int | None:
    """Its exit code, waited for so long."""
    deadline = time.monotonic() + seconds
    while (code := worker.poll()) is None and time.monotonic() < deadline:
        time.sleep(0.0005)
    return code


def begun(job: Any, worker: Worker, before: int = 0) -> int:
    """The process that works on the run, once it holds the lock (not the one `before`); 0 where it has ended."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while worker.poll() is None:
        found = holder(job.run.path)
        if found is not None and found.pid not in (0, before):
            return found.pid
        assert time.monotonic() < deadline
        time.sleep(0.002)
    return 0


def kill_after(nursery: Nursery, job: Any, seconds: float) -> int | None:
    """Start the run's process, and end it by -9 so many seconds after it took the lock; its exit code."""
    before = job.run.state().pid or 0
    worker = nursery.start(job.run, plan([job.request.config]).tasks[-1])
    pid = begun(job, worker, before)
    if pid and ended(worker, seconds) is None:
        with suppress(ProcessLookupError):  # it had just come to its end
            os.kill(pid, signal.SIGKILL)
    return ended(worker)


def seconds_of(nursery: Nursery, job: Any) -> float:
    """How long the run takes from taking its lock to its end, never killed."""
    worker = nursery.start(job.run, plan([job.request.config]).tasks[-1])
    assert begun(job, worker)
    start = time.monotonic()
    assert ended(worker) == 0
    return time.monotonic() - start


def killed_to_the_end(nursery: Nursery, job: Any, name: str, longest: float) -> int:
    """Killed at least `KILLS[name]` times; how often it was, in the end."""
    landed, moment = 0, moments(name, longest)
    while (code := kill_after(nursery, job, next(moment))) != 0:
        assert code == -signal.SIGKILL
        assert job.run.state().status in ("lost", "new", "done")
        landed += 1
        if landed >= 4 * KILLS[name]:
            assert ended(nursery.start(job.run, plan([job.request.config]).tasks[-1])) == 0
            break
        for checkpoint in list_checkpoints(job.run.path):
            verify(checkpoint)
    print(f"{landed} kills landed")
    return landed


@pytest.mark.slow
@pytest.mark.parametrize("method", ["prefix_rft", "relift"])
def test_a_trainer_killed_until_it_ends(
    nursery: Nursery, make_job: MakeJob, tmp_path: Path, method: str
) -> None:
    settings: dict[str, Any] = {"optimisation": _steps(150), "of_method": _of(method)}
    straight = make_job(method, store=tmp_path / "straight", **settings)
    seconds = seconds_of(nursery, straight)
    job = make_job(method, **settings)
    landed = killed_to_the_end(nursery, job, method, seconds / 8)
    assert landed >= KILLS[method]
    assert job.run.state().attempt >= landed
    assert job.result() == straight.result()
    left = [path for path in (job.run.path / "checkpoints").iterdir() if path.name.startswith(TEMPORARY)]
    assert left == [], "what a killed save left is cleared away"


@pytest.mark.slow
def test_an_evaluation_killed_until_it_ends(nursery: Nursery, make_job: MakeJob, tmp_path: Path) -> None:
    data = make_job().request.config.data.model_dump(mode="json") | {"test_questions": 4}
    settings: dict[str, Any] = {
        "data": data,
        "optimisation": _steps(2),
        "evaluation": {"splits": ["test"], "samples": 256, "pass_at": [1, 2]},
        "backend": {"kind": "local", "generation_batch": 16},
    }
    straight = make_job(store=tmp_path / "straight", **settings)
    job = make_job(**settings)
    for one in (straight, job):
        one.finish_here()
    seconds = seconds_of(nursery, straight)
    landed = killed_to_the_end(nursery, job, "evaluation", seconds / 5)
    assert landed >= KILLS["evaluation"]
    assert _digests(job.run.path / "eval") == _digests(straight.run.path / "eval")
    assert job.run.state().status == "done"


@pytest.mark.slow
def test_graders_killed_while_they_grade() -> None:
    """Every verdict is that of graders that nobody killed: a killed worker costs time only."""
    pairs = [
        (rf"\frac{{1}}{{{k}}}", rf"\boxed{{\frac{{{n}}}{{{k * n + n % 2}}}}}")
        for k in range(2, 42)
        for n in range(2, 42)
    ]
    with make_grader(GradingSettings(workers=2)) as grader:
        killer = _Killer(grader)
        with killer:
            found = [grade.correct for grade in grader.grade(pairs)]
        restarts = grader.counts.worker_restarts
    assert found == [n % 2 == 0 for _ in range(2, 42) for n in range(2, 42)]
    assert killer.landed == KILLS["grading"]
    assert restarts >= killer.landed - 2, "the last ones may have had nothing left to grade"


class _Killer(threading.Thread):
    """Kills one of a grader's working processes now and then."""

    def __init__(self, grader: Grader) -> None:
        super().__init__()
        self.landed = 0
        self._grader, self._over = grader, threading.Event()
        self._chance, self._moments = random.Random("victims"), moments("grading", 1.5)

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()
        print(f"{self.landed} kills landed")

    def run(self) -> None:
        while self.landed < KILLS["grading"] and not self._over.wait(next(self._moments)):
            # One that is still starting is let be: three that cannot start in a row are an error of their own.
            working = [worker for worker in self._grader._pool._workers if worker.index is not None]
            if working:
                self._chance.choice(working).process.kill()
                self.landed += 1


def _steps(steps: int) -> dict[str, Any]:
    return {
        "rl": {
            "steps": steps,
            "mini_batches": 2,
            "learning_rate": 1e-2,
            "checkpoint_every": 2,
            "validate_every": 5,
            "questions_per_step": 6,
        }
    }


def _of(method: str) -> dict[str, Any]:
    return {"buffer": 4, "learning_rate": 1e-2} if method == "relift" else {}


def _digests(folder: Path) -> dict[str, str]:
    """Of every file of an evaluation; `done.json` says when."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "done.json"]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
