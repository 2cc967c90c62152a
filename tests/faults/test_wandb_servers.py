"""W&B servers that hang, drop, refuse or talk nonsense: the run goes on, its metrics are whole, and it says so."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from experiments import stages
from prefix_rft.runs.lock import RunLock
from prefix_rft.runs.state import StateWriter
from prefix_rft.runs.tracking import MirrorHandle
from prefix_rft.stop import StopFlag

MakeJob = Callable[..., Any]
SHORT = {"rl": {"steps": 4, "mini_batches": 2, "questions_per_step": 6, "checkpoint_every": 2}}
GRACE_SECONDS = 3.0
"""In place of the 30 s that a mirror gets to catch up."""
PATIENCE_SECONDS = 60.0


class Misbehaving(BaseHTTPRequestHandler):
    """Answers no request as it should."""

    kind = ""
    over = threading.Event()
    asked: list[str]

    def do_POST(self) -> None:
        self.asked.append(self.path)
        getattr(self, f"_{self.kind}")()

    do_GET = do_PUT = do_POST

    def _hangs(self) -> None:
        self.over.wait(120)

    def _drops(self) -> None:
        self.close_connection = True

    def _breaks_off(self) -> None:
        self._say(200, b'{"data": {"upsertBucket"', length=10_000)
        self.close_connection = True

    def _fails(self) -> None:
        self._say(500, b'{"errors": [{"message": "internal"}]}')

    def _refuses_the_key(self) -> None:
        self._say(401, b'{"errors": [{"message": "user is not logged in"}]}')

    def _talks_nonsense(self) -> None:
        self._say(200, b"\x00\xff<html>\x1b[31mnot JSON")

    def _answers_nothing(self) -> None:
        self._say(200, b'{"data": null, "errors": null}')

    def _say(self, code: int, body: bytes, length: int | None = None) -> None:
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@contextmanager
def serving(kind: str) -> Iterator[tuple[str, list[str]]]:
    """Such a server's address, and the paths that it was asked for."""
    asked: list[str] = []
    over = threading.Event()
    handler = type("Handler", (Misbehaving,), {"kind": kind, "over": over, "asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        over.set()
        server.shutdown()


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key in the environment, and little patience with mirrors."""
    monkeypatch.setenv("WANDB_API_KEY", "c0ffee" * 6 + "c0ff")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setattr(MirrorHandle.finish, "__defaults__", (GRACE_SECONDS,))


def train(job: Any, asked: list[str]) -> float:
    """Train with the mirror beside it, as a worker does, and wait until it has asked; seconds of training."""
    state = StateWriter(job.run.path)
    with RunLock(job.run.path):
        state.attempt()
        with stages.mirrored(job.run, job.request.config):
            began = time.monotonic()
            stages.train(job.run, job.request.config, job.request.parent_id, state, StopFlag())
            seconds = time.monotonic() - began
            while not asked:
                assert time.monotonic() < began + PATIENCE_SECONDS, "the mirror never asked"
                time.sleep(0.05)
        state.done()
    return seconds


KINDS = ("hangs", "drops", "breaks_off", "fails", "refuses_the_key", "talks_nonsense", "answers_nothing")
SLOW = [pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS if kind != "hangs"]


@pytest.mark.parametrize("kind", ["hangs", *SLOW])
def test_the_run_is_whole_whatever_the_server_does(
    make_job: MakeJob,
    tmp_path: Any,
    online: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
) -> None:
    alone = make_job(store=tmp_path / "alone", optimisation=SHORT)
    alone.finish_here()
    job = make_job(optimisation=SHORT, tracking={"wandb": "online"})
    with serving(kind) as (url, asked):
        monkeypatch.setenv("WANDB_BASE_URL", url)
        seconds = train(job, asked)
    assert seconds < PATIENCE_SECONDS / 2, "the training waited for nobody"
    assert job.result() == alone.result()
    assert job.run.state().status == "done"
    event = next(event for event in job.run.events() if event["event"] == "mirror incomplete")
    assert event["mirror_again"] == f"python -m prefix_rft.runs.mirror {job.run.path}"
    said = capsys.readouterr().err
    assert f"the mirror to W&B is incomplete ({job.run.id}; why: wandb.log in the run's folder)" in said
    assert f"Mirror the rest: python -m prefix_rft.runs.mirror {job.run.path}" in said
    assert (job.run.path / "wandb.log").stat().st_size < 1 << 20
