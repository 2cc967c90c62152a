"""Ray across the nodes of a job: `python -m slurm.ray_cluster ARGUMENTS...`, started on the job's first node.

Starts one Ray node on each node by srun, with the processors and GPUs that SLURM gave it, waits until all have joined,
and runs the interpreter with the arguments, which finds the cluster by RAY_ADDRESS. When that ends, however it ends,
the Ray nodes that this started end too, and no others.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

from slurm.commands import Slurm, words

FAILED = 1
_HEAD = "--head-or-worker"
_ADDRESS_FILE = "address"
_STARTED = "Ray runtime started"
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_JOIN_SECONDS = 300.0
_END_SECONDS = 30.0
_SECONDS_OF_A_RAYLET = "180"
"""Ray gives up on a node's daemon after 30 s otherwise; a shared file system is slower."""


def main() -> int:
    """Entry point; returns the exit code of what was run."""
    if sys.argv[1] == _HEAD:
        return _be_a_node(Path(sys.argv[2]))
    folder = Path(
        tempfile.mkdtemp(prefix=f"ray-{os.environ['SLURM_JOB_ID']}-", dir=os.environ["SLURM_SUBMIT_DIR"])
    )
    environment = {**os.environ, **_variables(secrets.token_hex(24))}
    step = subprocess.Popen(_srun(folder, os.environ), env=environment)
    try:
        missing = _wait_for(folder, step, _nodes())
        if missing:
            print(f"Ray did not start within {_JOIN_SECONDS:.0f} s on: {', '.join(missing)}", file=sys.stderr)
            return FAILED
        address = (folder / _ADDRESS_FILE).read_text()
        return _run(sys.argv[1:], {**environment, "RAY_ADDRESS": address})
    finally:
        _end(step)
        shutil.rmtree(folder, ignore_errors=True)


def _variables(token: str) -> dict[str, str]:
    """Said rather than left to what may lie in the user's home: a stray token there has kept clusters from starting."""
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": token,
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_raylet_start_wait_time_s": _SECONDS_OF_A_RAYLET,
    }


def _srun(folder: Path, given: Mapping[str, str]) -> list[str]:
    nodes, cpus = given["SLURM_JOB_NUM_NODES"], given.get("SLURM_CPUS_PER_TASK", "1")
    step = ["srun", f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1", f"--cpus-per-task={cpus}"]
    step += ["--mpi=none", "--kill-on-bad-exit=1"]
    return [*step, sys.executable, "-m", "slurm.ray_cluster", _HEAD, str(folder)]


def _nodes() -> list[str]:
    return list(words(Slurm().ask("scontrol", "show", "hostnames", os.environ["SLURM_JOB_NODELIST"])))


def _wait_for(folder: Path, step: subprocess.Popen[bytes], nodes: list[str]) -> list[str]:
    """Names of the nodes that have not joined in time, or before the step ended."""
    deadline = time.monotonic() + _JOIN_SECONDS
    while True:
        missing = [name for number, name in enumerate(nodes) if not (folder / f"ready-{number}").exists()]
        if not missing or time.monotonic() > deadline or step.poll() is not None:
            return missing
        time.sleep(0.2)


def _run(arguments: list[str], environment: Mapping[str, str]) -> int:
    """The program, which is told to save when this process is."""
    child = subprocess.Popen([sys.executable, *arguments], env=dict(environment))

    def tell(number: int, frame: FrameType | None) -> None:
        child.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, tell)
    code = child.wait()
    return code if code >= 0 else 128 - code


def _end(step: subprocess.Popen[bytes]) -> None:
    """srun passes the signal on; `ray start --block` then ends its own processes."""
    step.send_signal(signal.SIGTERM)
    try:
        step.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        step.kill()
        step.wait()


def _be_a_node(folder: Path) -> int:
    """One Ray node, until it is told to end; the first is the head, the others wait for its address."""
    number, port = int(os.environ["SLURM_NODEID"]), 20000 + int(os.environ["SLURM_JOB_ID"]) % 20000
    where = (
        ["--head", f"--port={port}", "--include-dashboard=false"]
        if number == 0
        else [f"--address={_head(folder)}"]
    )
    cpus = os.environ.get("SLURM_CPUS_PER_TASK", "1")
    gpus = os.environ.get("SLURM_GPUS_ON_NODE", "0")
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", f"--num-cpus={cpus}"]
    process = subprocess.Popen(
        [*command, f"--num-gpus={gpus}", *where], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    for signalled in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signalled, lambda number, frame: process.send_signal(signal.SIGTERM))
    assert process.stdout is not None
    ip = ""
    for coloured in process.stdout:
        line = _COLOUR.sub("", coloured)
        print(f"ray node {number}: {line}", end="", flush=True)
        found = re.search(r"Local node IP: (\S+)", line)
        ip = found.group(1) if found else ip
        if _STARTED in line:
            if number == 0:
                _put(folder / _ADDRESS_FILE, f"{ip}:{port}")
            _put(folder / f"ready-{number}", ip)
    return process.wait()


def _head(folder: Path) -> str:
    deadline = time.monotonic() + _JOIN_SECONDS
    while not (folder / _ADDRESS_FILE).exists():
        if time.monotonic() > deadline:
            raise SystemExit("the first node's Ray has not started")
        time.sleep(0.2)
    return (folder / _ADDRESS_FILE).read_text()


def _put(path: Path, text: str) -> None:
    """Whole or not at all: others read it as soon as it is there."""
    temporary = path.with_name(f".tmp-{path.name}")
    temporary.write_text(text)
    temporary.replace(path)


if __name__ == "__main__":
    sys.exit(main())
