"""Ray across the nodes of a job: `python -m slurm.ray_cluster ARGUMENTS...`, started on the job's first node.

Starts one Ray node on each node by srun, with the processors and GPUs that SLURM gave it, waits until all have joined,
and runs the interpreter with the arguments, which finds the cluster by RAY_ADDRESS. When that ends, however it ends,
the Ray nodes that this started end too, and no others.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

from slurm.commands import Slurm, words
from slurm.task import TO_CONTINUE, of_one_vendor

FAILED = 1
_HEAD = "--head-or-worker"
_ADDRESS_FILE = "address"
_OVER_FILE = "over"
_STARTED = "Ray runtime started"
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_JOIN_SECONDS = 600.0
_END_SECONDS = 30.0
_LOOK_SECONDS = 0.2
_SECONDS_OF_A_RAYLET = "60"
"""Ray gives up on a node's daemon after 30 s otherwise; a shared file system is slower."""
_ATTEMPTS = 4


def main() -> int:
    """Entry point; returns the exit code of what was run."""
    if sys.argv[1] == _HEAD:
        return _be_a_node(Path(sys.argv[2]))
    folder = Path(
        tempfile.mkdtemp(prefix=f"ray-{os.environ['SLURM_JOB_ID']}-", dir=os.environ["SLURM_SUBMIT_DIR"])
    )
    environment = {**os.environ, **_variables(secrets.token_hex(24))}
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(TO_CONTINUE))  # there is nothing to save yet
    step = subprocess.Popen(_srun(folder, os.environ), env=environment)
    try:
        missing = _wait_for(folder, step, _nodes())
        if missing:
            within = f"within {_JOIN_SECONDS:.0f} s" if step.poll() is None else "(its own words stand above)"
            print(f"Ray did not start {within} on: {', '.join(missing)}", file=sys.stderr)
            return FAILED
        address = (folder / _ADDRESS_FILE).read_text()
        return _run(sys.argv[1:], {**environment, "RAY_ADDRESS": address})
    finally:
        _end(step, folder)
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
        time.sleep(_LOOK_SECONDS)


def _run(arguments: list[str], environment: Mapping[str, str]) -> int:
    """The program, which is told to save when this process is."""
    child = subprocess.Popen([sys.executable, *arguments], env=dict(environment))

    def tell(number: int, frame: FrameType | None) -> None:
        child.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, tell)
    code = child.wait()
    return code if code >= 0 else 128 - code


def _end(step: subprocess.Popen[bytes], folder: Path) -> None:
    """By a file: srun told by a signal kills what has not ended within seconds, and Ray takes longer."""
    (folder / _OVER_FILE).touch()
    for signalled in (signal.SIGTERM, signal.SIGKILL):
        try:
            step.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            step.send_signal(signalled)
        else:
            return
    step.wait()


def _be_a_node(folder: Path) -> int:
    """One Ray node, until it is told to end; the first is the head, the others wait for its address.

    Ray's daemon waits 15 s for its agent to be imported, which no setting makes longer, and dies: on a busy node or a
    cold file system the second attempt finds the files in memory.
    """
    number, told = int(os.environ["SLURM_NODEID"]), threading.Event()
    for signalled in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signalled, lambda number, frame: told.set())
    files = _rays_files(folder)
    for _ in range(_ATTEMPTS):
        code = _ray_node(folder, number, told)
        if told.is_set() or (folder / _OVER_FILE).exists():
            shutil.rmtree(files, ignore_errors=True)
            return 0
        if (folder / f"ready-{number}").exists():
            break
        print(f"ray node {number}: ended with {code} before it had started: {files}/*/logs", flush=True)
    return code


def _rays_files(folder: Path) -> Path:
    """Ray's own, on this node: the usual folder holds the address that others on the node find a cluster by.

    Short, since sockets lie in it.
    """
    return Path("/tmp") / f"prft-{folder.name}"


def _ray_node(folder: Path, number: int, told: threading.Event) -> int:
    port = _port(20000 + int(os.environ["SLURM_JOB_ID"]) % 20000) if number == 0 else 0
    head = ["--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={_rays_files(folder)}"]
    where = head if number == 0 else [f"--address={_head(folder)}"]
    sizes = [f"--num-cpus={os.environ.get('SLURM_CPUS_PER_TASK', '1')}"]
    sizes += [f"--num-gpus={os.environ.get('SLURM_GPUS_ON_NODE', '0')}"]
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", *sizes, *where]
    process = subprocess.Popen(
        command, env=of_one_vendor(os.environ), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    threading.Thread(target=_end_when, args=(told, folder, process), daemon=True).start()
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


def _port(first: int) -> int:
    """The first one from there that nobody listens on."""
    for port in range(first, first + 1000):
        with socket.socket() as one, contextlib.suppress(OSError):
            one.bind(("", port))
            return port
    raise SystemExit(f"no port from {first} to {first + 999} is free")


def _end_when(told: threading.Event, folder: Path, process: subprocess.Popen[str]) -> None:
    """`ray start --block` then ends its own processes."""
    while not told.wait(_LOOK_SECONDS):
        if (folder / _OVER_FILE).exists():
            told.set()
    process.send_signal(signal.SIGTERM)


def _head(folder: Path) -> str:
    deadline = time.monotonic() + _JOIN_SECONDS
    while not (folder / _ADDRESS_FILE).exists():
        if time.monotonic() > deadline:
            raise SystemExit("the first node's Ray has not started")
        time.sleep(_LOOK_SECONDS)
    return (folder / _ADDRESS_FILE).read_text()


def _put(path: Path, text: str) -> None:
    """Whole or not at all: others read it as soon as it is there."""
    temporary = path.with_name(f".tmp-{path.name}")
    temporary.write_text(text)
    temporary.replace(path)


if __name__ == "__main__":
    sys.exit(main())
