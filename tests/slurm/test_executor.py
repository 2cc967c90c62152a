"""Functions as jobs through submitit: the profile's words, the local executor, and a real SLURM that preempts."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from slurm.errors import ProfileError
from slurm.executor import Program, parameters, submitit_executor
from slurm.profile import FOLDER, Profile, Resources, StageResources, read

COUNTS = """
import pathlib, signal, sys, time
stop, path = [], pathlib.Path(sys.argv[1])
signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
step = int(path.read_text()) if path.exists() else 0
with open(sys.argv[1] + ".begun", "a") as file:
    file.write(f"{step}\\n")
while step < int(sys.argv[2]):
    if stop:
        sys.exit(75)
    time.sleep(0.05)
    step += 1
    path.write_text(str(step))
"""


def test_the_profile_in_submitits_words():
    found = parameters(read(FOLDER / "example.yaml"), "evaluate")
    assert found == {
        "name": "prefix-rft-function",
        "timeout_min": 120,
        "nodes": 1,
        "tasks_per_node": 1,
        "cpus_per_task": 8,
        "mem_gb": 64.0,
        "slurm_partition": "gpu",
        "slurm_account": "my-project",
        "slurm_gres": "gpu:1",
        "slurm_setup": ["module load cuda/12.8"],
        "slurm_signal_delay_s": 120,
        "slurm_array_parallelism": 16,
        "slurm_additional_parameters": {},
    }


def test_several_nodes_are_refused(tmp_path):
    profile = Profile(stages={"train": StageResources(nodes=2)})
    with pytest.raises(ProfileError, match="a function runs on one node, the profile asks for 2"):
        submitit_executor(profile, tmp_path, stage="train", cluster="local")


def test_a_function_runs_in_a_process_of_this_machine(tmp_path):
    executor = submitit_executor(Profile(), tmp_path, cluster="local")
    assert executor.submit(divmod, 17, 5).result() == (3, 2)
    failing = executor.submit(Program(("-c", "raise SystemExit(3)"), folder=str(tmp_path)))
    assert "ended with 3" in str(failing.exception())


def test_a_program_is_told_to_save_and_called_again(tmp_path, monkeypatch):
    """What submitit does in a signal handler, while the call waits for its child."""
    import signal
    import threading

    program = Program(("-c", COUNTS, str(tmp_path / "step"), "1000"), folder=str(tmp_path))
    again = []

    def handler(number, frame):
        again.append(program.checkpoint())
        raise SystemExit(255)

    before = signal.signal(signal.SIGUSR2, handler)

    def warn():
        while not (tmp_path / "step").exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGUSR2)

    threading.Thread(target=warn).start()
    try:
        with pytest.raises(SystemExit):
            program()
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert again[0].function == program
    step = int((tmp_path / "step").read_text())
    assert 0 < step < 1000


@pytest.mark.slurm
@pytest.mark.slow
def test_a_preempted_function_goes_on_where_it_was(cells, sandbox, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_CONF", str(sandbox.conf))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    profile = Profile(
        resources=Resources(partition="low", minutes=30, options={"exclude": "n1"}), warn_seconds=10
    )
    executor = submitit_executor(profile, tmp_path / "jobs")
    job = executor.submit(Program(("-c", COUNTS, str(tmp_path / "step"), "200"), folder=str(tmp_path)))
    cells.wait(lambda: saved(tmp_path) > 10)
    assert cells.slurm.ask("squeue", "-h", "-j", job.job_id, "-O", "NodeList").strip() != "n1"
    everything = str(sandbox.cpus * sandbox.nodes)
    cells.slurm.ask("sbatch", "-p", "high", "-n", everything, "--wrap", "sleep 3", folder=tmp_path)
    cells.wait(lambda: "PENDING" in cells.slurm.ask("squeue", "-h", "-j", job.job_id, "-O", "State"))
    step = saved(tmp_path)
    assert 10 < step < 200
    cells.slurm.ask("scontrol", "update", f"JobId={job.job_id}", "StartTime=now+3")
    cells.wait(lambda: saved(tmp_path) == 200)
    assert job.result() is None
    begun = [int(line) for line in (tmp_path / "step.begun").read_text().splitlines()]
    assert begun == [0, step]
    assert sys.executable in (tmp_path / "jobs" / f"{job.job_id}_submission.sh").read_text()


def saved(folder):
    path = folder / "step"
    return int((path.read_text() if path.exists() else "") or 0)
