"""The memory of a training process of the toy scale."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments.compose import compose
from experiments.processes import environment
from prefix_rft.data.chain_encoder import ChainEncoder
from prefix_rft.local.initial import write_random_model
from prefix_rft.settings import ChainData, TinyModel

LIMIT_MB = 450


@pytest.mark.slow
def test_a_toy_run_stays_under_450_megabytes(
    make_job: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The toy scale's own model, batches and lengths, for 12 of its steps; an untrained model writes the longest."""
    toy = compose(["scale=toy"])
    assert isinstance(toy.data, ChainData)
    assert isinstance(toy.model, TinyModel)
    encoder = ChainEncoder(toy.data.modulus)
    write_random_model(
        tmp_path / "model",
        toy.model.architecture,
        vocabulary=encoder.vocabulary_size,
        eos_id=encoder.eos_id,
        pad_id=encoder.pad_id,
        seed=0,
    )
    encoder.save(tmp_path / "model")
    optimisation = toy.optimisation.model_dump()
    optimisation["rl"] |= {"steps": 12, "validate_every": 6}
    job = make_job(
        method=toy.method.name,
        model={"kind": "pretrained", "path": str(tmp_path / "model")},
        data=toy.data.model_dump(),
        backend=toy.backend.model_dump(),
        optimisation=optimisation,
        evaluation={"splits": ["test"], "samples": 8, "pass_at": [1]},
    )
    for name, value in environment(threads=1).items():
        monkeypatch.setenv(name, value)
    process = job.start()
    peak_mb = _peak_mb(process)
    assert process.returncode == 0, process.stderr.read()
    assert 0 < peak_mb < LIMIT_MB


def _peak_mb(process: subprocess.Popen[bytes]) -> float:
    """Highest VmHWM seen while it ran; the rusage of a child would count the memory of the forking test process."""
    peak_kb = 0
    while process.poll() is None:
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        peak_kb = max([peak_kb, *(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))])
        time.sleep(0.02)
    return peak_kb / 1024
