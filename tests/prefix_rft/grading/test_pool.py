from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from prefix_rft.errors import GradingError
from prefix_rft.grading.pool import Outcome, Pool

FAULTS = """
import os, sys, time
served = 0

def act(what, argument=""):
    global served
    served += 1
    if what == "echo": return argument
    if what == "sleep": time.sleep(float(argument))
    if what == "spin": return 9**9**9 % 7  # one operation, deaf to Python's signal handlers
    if what == "die": os._exit(3)
    if what == "segfault": os.kill(os.getpid(), 11)
    if what == "fill": return len(bytearray(8 * 2**30))
    if what == "fill in steps":
        held = []
        while True: held.append(bytearray(2**24))
    if what == "raise": raise KeyError(argument)
    if what == "recurse": return act(what, argument)
    if what == "die when worn" and served > 1: os._exit(3)
    if what == "print": print(argument * 100_000); sys.stderr.write(argument * 100_000)
    if what == "torch": return "torch" in sys.modules
    if what == "pid": return os.getpid()
    return argument
"""


@pytest.fixture
def make_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Pool]]:
    (tmp_path / "faulty_worker.py").write_text(FAULTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    pools: list[Pool] = []

    def make(
        entry: str = "faulty_worker:act", workers: int = 1, timeout: float = 20.0, memory_mb: int = 1024
    ) -> Pool:
        pools.append(Pool(entry, workers=workers, timeout_seconds=timeout, memory_mb=memory_mb))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()


def gone(pid: int, within: float = 5.0) -> bool:
    """Whether the process ends in time (a zombie has ended)."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        stat = Path(f"/proc/{pid}/stat")
        if not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False


def test_outcomes_keep_the_order_of_the_requests_although_the_slow_come_first(
    make_pool: Callable[..., Pool],
) -> None:
    requests = [("sleep", "0.3"), *(("echo", str(i)) for i in range(20))]
    pool = make_pool(workers=2)
    assert [outcome.value for outcome in pool.map(requests)] == ["0.3", *map(str, range(20))]
    assert pool.restarts == 0
    assert pool.map([]) == []


def test_nothing_is_started_before_the_first_request_and_no_more_than_are_needed(
    make_pool: Callable[..., Pool],
) -> None:
    pool = make_pool(workers=2)
    assert pool.pids == []
    pool.map([("echo", "1")])
    assert len(pool.pids) == 1


def test_a_hanging_worker_costs_its_own_request_only(make_pool: Callable[..., Pool]) -> None:
    pool = make_pool(timeout=0.5)
    pool.start()
    began = time.monotonic()
    outcomes = pool.map([("echo", "a"), ("sleep", "60"), ("spin",), ("echo", "b")])
    assert [outcome.ending for outcome in outcomes] == ["ok", "timeout", "timeout", "ok"]
    assert outcomes[3].value == "b"
    assert pool.restarts == 2
    assert time.monotonic() - began < 15


def test_starting_a_worker_is_not_part_of_a_requests_time(
    make_pool: Callable[..., Pool], tmp_path: Path
) -> None:
    (tmp_path / "slow_start.py").write_text("import time\ntime.sleep(0.6)\ndef act(): return 1\n")
    assert make_pool("slow_start:act", timeout=0.3).map([()]) == [Outcome("ok", 1)]


@pytest.mark.parametrize("how", ["fill", pytest.param("fill in steps", marks=pytest.mark.slow)])
def test_a_worker_that_fills_its_memory_is_reported_and_replaced(
    make_pool: Callable[..., Pool], how: str
) -> None:
    pool = make_pool(memory_mb=512)
    outcomes = pool.map([(how,), ("echo", "after")])
    assert outcomes == [Outcome("out_of_memory"), Outcome("ok", "after")]
    assert pool.restarts == 2, "it is tried once more in a fresh worker"


@pytest.mark.parametrize("how", ["die", pytest.param("segfault", marks=pytest.mark.slow)])
def test_a_worker_that_dies_is_reported_and_replaced(make_pool: Callable[..., Pool], how: str) -> None:
    pool = make_pool()
    assert pool.map([("echo", "a"), (how,), ("echo", "b")]) == [
        Outcome("ok", "a"),
        Outcome("crashed"),
        Outcome("ok", "b"),
    ]
    assert pool.restarts == 2


def test_a_request_is_not_blamed_for_what_earlier_ones_left_behind(make_pool: Callable[..., Pool]) -> None:
    pool = make_pool()
    assert pool.map([("echo", "a"), ("die when worn", "b")]) == [Outcome("ok", "a"), Outcome("ok", "b")]
    assert pool.restarts == 1


def test_an_exception_is_an_outcome_with_its_message_and_spares_the_worker(
    make_pool: Callable[..., Pool],
) -> None:
    pool = make_pool()
    outcomes = pool.map([("raise", "x"), ("recurse",), ("unknown", "a", "b")])
    assert [outcome.ending for outcome in outcomes] == ["error", "error", "error"]
    assert outcomes[0].value == "KeyError: 'x'"
    assert str(outcomes[1].value).startswith("RecursionError")
    assert pool.restarts == 0


def test_a_worker_killed_while_idle_costs_nothing(make_pool: Callable[..., Pool]) -> None:
    pool = make_pool(workers=2)
    pool.start()
    os.kill(pool.pids[0], signal.SIGKILL)
    assert gone(pool.pids[0])
    assert [outcome.ending for outcome in pool.map([("echo", "x")] * 6)] == ["ok"] * 6


def test_strange_strings_and_noise_pass_through(make_pool: Callable[..., Pool]) -> None:
    texts = ["\x00", "\ud800", "é\u2028", "x" * 2_000_000, ""]
    pool = make_pool()
    assert [outcome.value for outcome in pool.map([("echo", text) for text in texts])] == texts
    assert pool.map([("print", "z")]) == [Outcome("ok", "z")]


def test_workers_do_not_import_torch(make_pool: Callable[..., Pool]) -> None:
    assert make_pool().map([("torch",)]) == [Outcome("ok", False)]


def test_a_worker_that_cannot_start_is_an_error_that_says_why(
    make_pool: Callable[..., Pool], tmp_path: Path
) -> None:
    pool = make_pool("no_such_module:act")
    for _ in range(2):
        with pytest.raises(GradingError, match="no_such_module"):
            pool.map([("echo",)])
    (tmp_path / "exits.py").write_text(
        "import os, sys\nsys.stderr.write('bad luck'); sys.stderr.flush(); os._exit(1)\n"
    )
    with pytest.raises(GradingError, match="bad luck"):
        make_pool("exits:act").start()


def test_closing_ends_the_workers_and_may_be_repeated(make_pool: Callable[..., Pool]) -> None:
    pool = make_pool(workers=2)
    pool.start()
    pids = pool.pids
    pool.close()
    pool.close()
    assert all(gone(pid) for pid in pids)
    with pytest.raises(GradingError, match="closed"):
        pool.map([("echo", "x")])


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A shell that starts the tests in the background leaves the signal ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_after_an_interrupt_no_old_answer_meets_a_new_request(make_pool: Callable[..., Pool]) -> None:
    pool = make_pool()
    pool.start()
    interrupted = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    interrupted.start()
    with pytest.raises(KeyboardInterrupt):
        pool.map([("sleep", "4.0")])
    assert pool.map([("echo", "new")]) == [Outcome("ok", "new")]


def test_threads_may_share_a_pool_and_end_while_it_lives(make_pool: Callable[..., Pool]) -> None:
    pool = make_pool()
    seen: dict[int, list[object]] = {}

    def ask(number: int) -> None:
        seen[number] = [outcome.value for outcome in pool.map([("echo", str(number))] * 5)]

    for number in range(4):
        threads = [threading.Thread(target=ask, args=(number * 2 + offset,)) for offset in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert seen == {number: [str(number)] * 5 for number in range(8)}
    assert pool.restarts == 0


def test_a_forked_process_neither_uses_nor_ends_its_parents_workers(make_pool: Callable[..., Pool]) -> None:
    pool = make_pool()
    pool.start()
    child = os.fork()
    if child == 0:
        pool.close()
        try:
            pool.map([("echo", "x")])
        except GradingError:
            os._exit(0)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert pool.map([("echo", "x")]) == [Outcome("ok", "x")]
    assert pool.restarts == 0


PARENT = """
    import sys
    from prefix_rft.grading.pool import Pool
    pool = Pool("faulty_worker:act", workers=2, timeout_seconds=60, memory_mb=1024)
    pool.start()
    print(*pool.pids, flush=True)
    pool.map([("sleep", "60"), ("spin", "")])
"""


@pytest.mark.parametrize(
    "number",
    [signal.SIGKILL, *(pytest.param(s, marks=pytest.mark.slow) for s in (signal.SIGTERM, signal.SIGINT))],
)
def test_no_worker_outlives_its_parent(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "faulty_worker.py").write_text(FAULTS)
    path = os.pathsep.join([str(tmp_path), *sys.path])
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": path},
        start_new_session=True,
        text=True,
    )
    with parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        time.sleep(0.2)
        os.killpg(parent.pid, number)
        parent.wait()
    assert len(pids) == 2
    assert all(gone(pid) for pid in pids)
