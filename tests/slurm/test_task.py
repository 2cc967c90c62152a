"""Inside a job, with a make-believe scontrol: exit codes, warnings, requeues, and what is written down."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from slurm.task import of_one_vendor

SCONTROL = """#!/bin/bash
echo "$@" >> {log}
case "$1" in --oneliner) echo "JobId=7 JobState={state} Reason=None";; esac
"""


@pytest.fixture
def job(tmp_path):
    """An array's folder; starts its job 3 with a stage given as Python, SLURM saying `state` of it."""
    folder = tmp_path / "array"
    folder.mkdir()
    started = []

    def start(code, state="RUNNING", restarts=0, max_requeues=2):
        tasks = {"3": {"cell": "c", "command": ["-c", code], "environment": {"GIVEN": "it's $1\n"}}}
        whole = {"folder": str(tmp_path), "max_requeues": max_requeues, "tasks": tasks}
        (folder / "tasks.json").write_text(json.dumps(whole))
        program = tmp_path / "bin" / "scontrol"
        program.parent.mkdir(exist_ok=True)
        program.write_text(SCONTROL.format(log=tmp_path / "asked", state=state))
        program.chmod(0o755)
        environment = {
            **os.environ,
            "PATH": f"{program.parent}:{os.environ['PATH']}",
            "SLURM_JOB_ID": "7",
            "SLURM_ARRAY_JOB_ID": "5",
            "SLURM_ARRAY_TASK_ID": "3",
            "SLURM_RESTART_COUNT": str(restarts),
            "SLURMD_NODENAME": "n9",
            "PYTHONPATH": os.getcwd(),
        }
        command = [sys.executable, "-u", "-m", "slurm.task"]
        started.append(
            subprocess.Popen(
                command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def end(tmp_path):
    return json.loads((tmp_path / "array" / "ends" / "3.json").read_text())


def asked(tmp_path):
    path = tmp_path / "asked"
    return path.read_text().splitlines() if path.exists() else []


SAVES = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
pathlib.Path("ready").touch()
time.sleep(60)
"""


def warned(job, tmp_path, number, **how):
    process = job(SAVES, **how)
    deadline = time.monotonic() + 30
    while not (tmp_path / "ready").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(number)
    process.communicate(timeout=30)
    return process.returncode


@pytest.mark.parametrize(
    ("code", "expected"),
    [("pass", 0), ("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", 137), ("1/0", 1)],
)
def test_the_jobs_exit_code_is_the_stages(job, tmp_path, code, expected):
    process = job(code)
    process.communicate(timeout=30)
    assert process.returncode == expected
    recorded = end(tmp_path)
    assert (recorded["ref"], recorded["node"], recorded["restarts"]) == ("5_3", "n9", 0)
    assert recorded["code"] == (expected if expected != 137 else -9)
    assert asked(tmp_path) == []


def test_a_stage_starts_where_the_sweep_was_submitted_with_what_it_was_given(job, tmp_path):
    process = job("import os; print(repr((os.getcwd(), os.environ['GIVEN'])))")
    assert process.communicate(timeout=30)[0].decode().strip() == repr((str(tmp_path), "it's $1\n"))


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_a_warning_makes_it_save_and_go_back_into_the_queue(job, tmp_path, number):
    assert warned(job, tmp_path, number) == 75
    assert asked(tmp_path) == ["--oneliner show job 7", "requeue 7"]
    assert end(tmp_path)["requeue"] is True


@pytest.mark.parametrize("state", ["CANCELLED", "COMPLETING", "TIMEOUT", "PENDING"])
def test_what_slurm_ends_itself_is_not_requeued(job, tmp_path, state):
    assert warned(job, tmp_path, signal.SIGTERM, state=state) == 75
    assert asked(tmp_path) == ["--oneliner show job 7"]
    assert end(tmp_path)["why"] == f"not requeued: SLURM says {state}"


def test_it_is_not_requeued_for_ever(job, tmp_path):
    assert warned(job, tmp_path, signal.SIGUSR1, restarts=2) == 75
    assert asked(tmp_path) == ["--oneliner show job 7"]
    assert end(tmp_path)["why"].startswith("requeued 2 times already")


def test_a_stage_is_told_its_gpus_once(job, tmp_path, monkeypatch):
    """SLURM names them to every vendor's programs; verl refuses that."""
    for name in ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK"):
        monkeypatch.setenv(name, "0,1")
    prints = "import os; print(sorted(key for key, value in os.environ.items() if value == '0,1'))"
    assert job(prints).communicate(timeout=30)[0].decode().strip() == "['CUDA_VISIBLE_DEVICES']"


def test_amds_gpus_are_left_where_no_other_variable_names_them():
    assert of_one_vendor({"ROCR_VISIBLE_DEVICES": "0"}) == {"ROCR_VISIBLE_DEVICES": "0"}


def test_an_array_that_was_given_up_does_nothing(job, tmp_path):
    (tmp_path / "array" / "closed").touch()
    process = job("open('touched', 'w')")
    said = process.communicate(timeout=30)[0].decode()
    assert process.returncode == 79
    assert "given up" in said
    assert not (tmp_path / "touched").exists()
