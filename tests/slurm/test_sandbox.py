"""`python -m slurm.testing`: a cluster that starts, is found, refuses to start twice, and ends whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from slurm.testing.sandbox import PACKAGES, missing

pytestmark = pytest.mark.slurm


def say(*arguments):
    command = [sys.executable, "-m", "slurm.testing", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_it_starts_once_and_ends_whole(tmp_path):
    if missing():
        pytest.skip(f"{', '.join(missing())} not found; on Debian: apt-get install {PACKAGES}")
    folder = tmp_path / "cluster"
    assert say("start", folder, "--nodes", 3) == (0, f"export SLURM_CONF={folder}/slurm.conf\n")
    try:
        environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
        names = subprocess.run(
            ["sinfo", "-hNo", "%N"], env=environment, capture_output=True, text=True
        ).stdout
        assert set(names.split()) == {"n1", "n2", "n3"}
        assert "it runs already" in say("start", folder)[1]
    finally:
        assert say("stop", folder) == (0, "")
    assert list((folder / "run").glob("*.pid")) == []
    assert not any(f"{folder}/slurm.conf" in read(path) for path in Path("/proc").glob("[0-9]*/cmdline"))


def read(path):
    try:
        text = path.read_bytes()
    except OSError:
        return ""
    return "" if b"slurm" not in text and b"munged" not in text else text.decode(errors="replace")
