"""One node's Ray, with a make-believe `ray start`: tried again where it dies young, ended when told, its files gone."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from slurm.ray_cluster import _port

RAY = """
import json, os, pathlib, signal, sys, time
count = pathlib.Path(os.environ["TRIES"])
tried = int(count.read_text() or 0) + 1
count.write_text(str(tried))
print("Local node IP: 10.0.0.1", flush=True)
files = next(word.partition("=")[2] for word in sys.argv if word.startswith("--temp-dir="))
pathlib.Path(files).mkdir(exist_ok=True)
if tried <= int(os.environ["DIES"]):
    sys.exit(1)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
pathlib.Path(os.environ["SAID"]).write_text(json.dumps([sys.argv, dict(os.environ)]))
print("\\x1b[32mRay runtime started.\\x1b[0m", flush=True)
time.sleep(60)
"""


@pytest.fixture
def node(tmp_path):
    """Starts the first node of job 7 in a folder; `ray start` dies as often as asked before it starts."""
    package = tmp_path / "fake" / "ray" / "scripts"
    package.mkdir(parents=True)
    for folder in (package.parent, package):
        (folder / "__init__.py").touch()
    (package / "scripts.py").write_text(RAY)
    (tmp_path / "tries").touch()
    meeting = tmp_path / f"ray-7-{os.getpid()}"
    meeting.mkdir()
    started = []

    def start(dies):
        environment = {
            **os.environ,
            "PYTHONPATH": f"{tmp_path / 'fake'}:{Path(__file__).parents[2]}",
            "SLURM_JOB_ID": "7",
            "SLURM_NODEID": "0",
            "SLURM_CPUS_PER_TASK": "3",
            "TRIES": str(tmp_path / "tries"),
            "SAID": str(tmp_path / "said"),
            "DIES": str(dies),
        }
        command = [sys.executable, "-m", "slurm.ray_cluster", "--head-or-worker", str(meeting)]
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        started.append(process)
        return process, meeting

    yield start
    for process in started:
        process.kill()
        process.communicate()


def wait_for(path):
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, f"no {path}"
        time.sleep(0.02)


def test_a_node_that_dies_before_it_has_started_is_started_again(node, tmp_path):
    process, meeting = node(dies=2)
    wait_for(meeting / "ready-0")
    assert (tmp_path / "tries").read_text() == "3"
    host, _, port = (meeting / "address").read_text().partition(":")
    assert (host, 20007 <= int(port) < 21007) == ("10.0.0.1", True)
    assert f"--port={port}" in (tmp_path / "said").read_text()
    assert "--num-cpus=3" in (tmp_path / "said").read_text()
    files = Path("/tmp") / f"prft-{meeting.name}"
    assert files.is_dir()
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=30)[0]
    assert process.returncode == 0
    assert said.count("ended with 1 before it had started") == 2
    assert not files.exists()


def test_a_node_that_never_starts_ends_and_leaves_its_logs(node, tmp_path):
    process, meeting = node(dies=99)
    said = process.communicate(timeout=60)[0]
    files = Path("/tmp") / f"prft-{meeting.name}"
    assert (process.returncode, (tmp_path / "tries").read_text()) == (1, "4")
    assert f"before it had started: {files}/*/logs" in said
    assert not (meeting / "ready-0").exists()
    files.rmdir()


def test_a_port_that_is_taken_is_passed_over():
    with socket.socket() as taken:
        taken.bind(("", 0))
        number = taken.getsockname()[1]
        assert _port(number) > number
