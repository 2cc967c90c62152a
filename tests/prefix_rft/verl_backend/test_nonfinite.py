"""A loss that is not finite on verl: the run stops, names its step, and leaves the rows behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from prefix_rft.runs.identity import train_identity
from prefix_rft.runs.store import Store

pytestmark = [
    pytest.mark.verl,
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("verl") is None, reason="verl is not installed (pip install -e '.[verl]')"),
]
HERE = Path(__file__).parent


def test_a_learning_rate_far_too_high_stops_the_run_and_saves_the_rows(
    verl_settings: Any, verl_model: Path, tmp_path: Path
) -> None:
    """The first mini-batch moves every weight by 1e30, the second meets them."""
    config = verl_settings(tmp_path / "runs", verl_model, rl={"learning_rate": 1e30})
    (tmp_path / "settings.json").write_text(config.model_dump_json(), encoding="utf-8")
    command = [sys.executable, str(HERE / "run_process.py"), str(tmp_path / "settings.json"), str(verl_model)]
    with (tmp_path / "run.log").open("wb") as log:
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        ended = subprocess.run(command, stdout=log, stderr=log, env=environment, timeout=900)
    said = (tmp_path / "run.log").read_text(encoding="utf-8", errors="replace")
    assert ended.returncode == 1, f"see {tmp_path}/run.log"
    assert "rollout step 1, mini-batch 2: loss or gradient not finite" in said
    assert "on_nonfinite=skip" not in said
    run = Store(config.store).path(train_identity(config).id)
    file = run / "nonfinite" / "step_1_mini-batch_2.safetensors"
    facts = json.loads(file.with_suffix(".json").read_text())
    assert load_file(file)["responses"].shape[0] == facts["rows"] == len(facts["question_ids"])
    assert not (run / "checkpoints").exists() or not list((run / "checkpoints").glob("step_*"))
