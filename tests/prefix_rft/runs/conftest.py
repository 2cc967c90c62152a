"""Configurations, a run directory and a disk that can be filled."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from prefix_rft.runs.identity import train_identity
from prefix_rft.runs.store import RunDir, Store
from prefix_rft.settings import RunConfig, parse

MakeConfig = Callable[..., RunConfig]


@pytest.fixture(scope="session")
def make_config() -> MakeConfig:
    """A configuration of the embedded task; sections are given by keyword."""

    def make(method: str = "prefix_rft", **sections: Any) -> RunConfig:
        values = {"method": {"name": method}, "model": {"kind": "tiny"}, "data": {"kind": "chain"}}
        return parse(RunConfig, values | sections)

    return make


@pytest.fixture
def run(tmp_path: Path, make_config: MakeConfig) -> RunDir:
    """A new run."""
    config = make_config()
    return Store(tmp_path / "runs").create(train_identity(config), config)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB; skips where this user may not mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
