"""The audit of verl's worker, in processes of their own: it makes a process group and reads the environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.verl,
    pytest.mark.skipif(find_spec("verl") is None, reason="verl is not installed (make verl)"),
]

ONE_TOKEN_TOO_MANY = """
import sys
from prefix_rft.verl_backend import rows
right = rows.token_scale
def wrong(batch, *rest):
    tokens = int(batch.response_length_B.sum())
    return right(batch, *rest) * tokens / (tokens + 1)
rows.token_scale = wrong
from prefix_rft.audit.suite import audit
print(*(line.split(" deviates")[0] for line in audit("verl", ["sft"]).failures()), sep="\\n")
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_sft_and_rft_pass(tmp_path: Path) -> None:
    found = tmp_path / "audit.json"
    options = ["--backend", "verl", "--method", "sft", "--method", "rft", "--json", str(found)]
    done = run("-m", "experiments.cli", "audit", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    cases = json.loads(found.read_text())["cases"]
    assert cases.keys() == {"sft", "rft"}
    for case in cases.values():
        assert all(0 < figure["deviation"] < 1e-3 for figure in case["checks"].values() if figure)
        assert all(figure["deviation"] > 0.1 for figure in case["broken"].values())
    assert cases["sft"]["checks"]["cross-entropy"] is not None
    # Nothing is claimed of what this backend does not do on a CPU.
    assert cases["rft"]["checks"]["skipped rows"] is None
    assert cases["rft"]["checks"]["offload"] is None


def test_a_wrong_divisor_is_found() -> None:
    done = run("-c", ONE_TOKEN_TOO_MANY)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["sft: normaliser", "sft: cross-entropy"]
