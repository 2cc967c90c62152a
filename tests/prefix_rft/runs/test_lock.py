"""One live process a run; the kernel takes the lock back from a dead one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from prefix_rft.errors import RunLockedError
from prefix_rft.runs.lock import RunLock, holder, is_locked

HOLD = """
import sys, time
from pathlib import Path
from prefix_rft.runs.lock import RunLock
with RunLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""
HOLD_AND_FORK = HOLD.replace(
    "    print", "    import os\n    child = os.fork()\n    if child: print(child); print"
)

Start = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a script that takes the lock; ends it afterwards."""
    started: list[subprocess.Popen[str]] = []

    def run(script: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", script, str(tmp_path)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.wait()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_second_process_is_told_who_holds_the_run_and_what_to_do(tmp_path: Path, start: Start) -> None:
    process = start(HOLD)
    assert _line(process) == "held"
    with pytest.raises(RunLockedError) as caught, RunLock(tmp_path):
        pass
    message = str(caught.value)
    assert f"process {process.pid} on {os.uname().nodename} since 20" in message
    assert "Wait until it ends" in message
    assert f"kill {process.pid}" in message


def test_a_killed_holder_holds_nothing(tmp_path: Path, start: Start) -> None:
    process = start(HOLD)
    assert _line(process) == "held"
    assert is_locked(tmp_path)
    found = holder(tmp_path)
    assert found is not None
    assert found.pid == process.pid
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not is_locked(tmp_path)
    assert holder(tmp_path) is None
    with RunLock(tmp_path):
        assert is_locked(tmp_path)


def test_a_child_of_a_killed_holder_does_not_keep_the_lock(tmp_path: Path, start: Start) -> None:
    process = start(HOLD_AND_FORK)
    child = int(_line(process))
    assert _line(process) == "held"
    process.send_signal(signal.SIGKILL)
    process.wait()
    os.kill(child, 0)
    deadline = time.monotonic() + 10
    while is_locked(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.01)
    kept = is_locked(tmp_path)
    os.kill(child, signal.SIGKILL)
    assert not kept


def test_of_many_processes_one_wins(tmp_path: Path) -> None:
    script = HOLD.replace("60", "1")
    command = [sys.executable, "-c", script, str(tmp_path)]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)
    ]
    results = [process.communicate() for process in processes]
    assert sorted(process.returncode for process in processes) == [0, 1, 1, 1]
    assert sum("RunLockedError" in error for _, error in results) == 3


def test_asking_takes_nothing_from_the_holder(tmp_path: Path) -> None:
    assert not is_locked(tmp_path)
    with RunLock(tmp_path):
        assert [is_locked(tmp_path) for _ in range(3)] == [True, True, True]
        with pytest.raises(RunLockedError):
            RunLock(tmp_path).acquire()
        assert is_locked(tmp_path)
    assert not is_locked(tmp_path)


def test_releasing_twice_is_harmless(tmp_path: Path) -> None:
    lock = RunLock(tmp_path)
    lock.acquire()
    lock.release()
    lock.release()
    with lock:
        assert is_locked(tmp_path)
