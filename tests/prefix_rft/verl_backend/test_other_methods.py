"""Methods that ask more of verl, each trained once on a CPU: imitation alone, SFT steps in between, fillers.

One session of Ray each; `test_end_to_end.py` looks at what all methods share.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from prefix_rft.grading import make_grader
from prefix_rft.local.trainer import Trainer
from prefix_rft.runs.identity import train_identity
from prefix_rft.runs.store import RunDir, Store
from prefix_rft.settings import LocalBackend, RunConfig
from prefix_rft.stop import StopFlag

pytestmark = [
    pytest.mark.verl,
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("verl") is None, reason="verl is not installed (pip install -e '.[verl]')"),
]
HERE = Path(__file__).parent


@pytest.fixture
def train(verl_settings: Any, verl_model: Path, tmp_path: Path) -> Any:
    """Train a run in a process of its own, to the end or to a stop; its configuration and its directory."""

    def go(method: str, stop: int | None = None, **sections: Any) -> tuple[RunConfig, RunDir]:
        config = verl_settings(tmp_path / "runs", verl_model, method, **sections)
        (tmp_path / "settings.json").write_text(config.model_dump_json(), encoding="utf-8")
        script, asked = str(HERE / "run_process.py"), str(tmp_path / "settings.json")
        command = [sys.executable, script, asked, str(verl_model), *([str(stop)] if stop else [])]
        with (tmp_path / "run.log").open("ab") as output:
            ended = subprocess.run(
                command, stdout=output, stderr=output, env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=900
            )
        assert ended.returncode == (75 if stop else 0), f"see {tmp_path}/run.log"
        return config, RunDir(Store(config.store).path(train_identity(config).id))

    return go


def test_imitation_ends_with_the_weights_of_the_local_backend(train, verl_model, tmp_path):
    """13 demonstrations, five a step: three steps, the last of three questions, warm-up and cosine included."""
    config, run = train("sft")
    here = config.model_copy(
        update={"backend": LocalBackend(fast_path="off"), "store": str(tmp_path / "here")}
    )
    beside = Store(here.store).create(train_identity(here), here)
    with make_grader(here.data.grading) as grader:
        Trainer(here, beside, verl_model, grader).run_steps(StopFlag(), lambda *_: None)
    theirs, ours = (load_file(one.checkpoints()[-1].path / "model.safetensors") for one in (run, beside))
    started = load_file(verl_model / "model.safetensors")
    for name, weight in ours.items():
        moved = float((weight - started[name]).abs().max())
        assert float((theirs[name] - weight).abs().max()) <= 1e-3 * moved + 1e-7, name
    names = ("loss", "grad_norm", "learning_rate", "imitated_tokens")
    for row, other in zip(_rows(run), _rows(beside), strict=True):
        assert [row[name] for name in names] == pytest.approx([other[name] for name in names], rel=1e-4)


def test_sft_steps_between_rollout_steps_have_an_optimizer_of_their_own(train):
    """Untrained, the model solves few questions: a buffer of one fills at once. Stopped, it goes on with both."""
    rule = {"rollouts": 4, "buffer": 1, "learning_rate": 1e-3}
    train("relift", stop=2, rule=rule)
    _, run = train("relift", rule=rule)
    rows = _rows(run)
    taken = [row for row in rows if "imitation_loss" in row]
    assert taken
    assert all(row["imitation_questions"] == 1.0 and row["imitation_loss"] > 0 for row in taken)
    last = run.checkpoints()[-1].path
    assert (last / "method.json").exists()
    for file, steps in (("optim", 6.0), ("second", float(len(taken)))):
        saved = torch.load(last / "verl" / f"{file}_world_size_1_rank_0.pt", weights_only=False)
        assert {float(state["step"]) for state in saved["state"].values()} == {steps}


def test_rows_that_do_not_divide_among_the_workers_are_filled_up(train):
    """Half of the questions have no demonstration, and one row less: an odd number of rows for two workers."""
    _, run = train(
        "rl_sft_loss",
        rule={"rollouts": 4},
        rl={"steps": 2, "questions_per_step": 5},
        backend={"devices_per_node": 2},
        data={"demonstration_coverage": 0.5},
    )
    assert [row["step"] for row in _rows(run)] == [1, 2]
    assert all(row["imitated_tokens"] > 0 and row["explored_tokens"] > 0 for row in _rows(run))


def _rows(run: RunDir) -> list[dict[str, Any]]:
    return [row for row in run.metrics() if row["kind"] == "train"]
