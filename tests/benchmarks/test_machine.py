"""A machine is known by what it is made of, and its host's name is nobody's business."""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import machine

ROOT = Path(machine.__file__).parents[1]


def test_the_machine_is_named_by_its_processor_cores_and_accelerator() -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", machine.label())
    assert f"-{machine.cores()}-cores" in machine.label()
    assert platform.node().lower() not in machine.label()
    assert platform.node() not in json.dumps([machine.facts(), machine.versions(), machine.commit()])


def test_an_accelerator_is_part_of_the_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA H100 80GB HBM3'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    machine.accelerator.cache_clear()
    try:
        assert machine.facts()["accelerator"] == "NVIDIA H100 80GB HBM3"
        assert machine.label().endswith("cores-nvidia-h100-80gb-hbm3")
    finally:
        machine.accelerator.cache_clear()


def test_a_driver_that_answers_with_an_error_is_no_accelerator(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed'\nexit 9\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    machine.accelerator.cache_clear()
    try:
        assert machine.accelerator() is None
    finally:
        machine.accelerator.cache_clear()


def test_the_commit_is_that_of_the_code_or_says_why_there_is_none() -> None:
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"],
        cwd=Path(machine.__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert machine.commit().startswith(done.stdout.strip() if done.returncode == 0 else "none: ")


def test_results_and_their_page_are_no_change_of_the_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    monkeypatch.setattr(machine, "loaded_source", lambda: {"commit": "c0ffee", "dirty": "a digest"})
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    said = [_commit_with(tmp_path / name) for name in (*_WRITTEN_BY_BENCHMARKS, "docs/other.md")]
    assert said == ["c0ffee", "c0ffee", "c0ffee with changes"]


_WRITTEN_BY_BENCHMARKS = ("benchmarks/results/2026-11-22-a-machine.json", "docs/benchmarks.md")


def _commit_with(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("new")
    machine.commit.cache_clear()
    try:
        return machine.commit()
    finally:
        machine.commit.cache_clear()


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="the peak is read from Linux's /proc")
def test_the_peak_is_that_of_the_process_and_not_of_the_one_that_started_it() -> None:
    held = np.ones(50_000_000)
    command = [sys.executable, "-c", "from benchmarks.machine import peak_mb; print(peak_mb())"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert machine.peak_mb() > held.nbytes / 1e6
    assert float(done.stdout) < held.nbytes / 1e6
