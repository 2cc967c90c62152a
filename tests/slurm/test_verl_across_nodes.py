"""One training on verl over two virtual nodes: the job's Ray cluster spans them, and a worker sits on each."""

from __future__ import annotations

import importlib.util
import json
import os
import re
from pathlib import Path

import pytest
import yaml

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.verl,
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("verl") is None, reason="verl is not installed: make verl"),
]


@pytest.fixture(scope="module")
def door(new_sandbox, new_door):
    opened = new_door(new_sandbox(nodes=2, cpus=8, gpus=1), "verl")
    two = {"nodes": 2, "cpus": 8, "gres": "gpu:1"}  # verl counts its workers in GPUs
    profile = {"resources": {"partition": "low", "minutes": 30}, "stages": {"train": two}, "warn_seconds": 60}
    (opened.folder / "profile.yaml").write_text(yaml.safe_dump(profile))
    return opened


@pytest.fixture(scope="module")
def run(door):
    """Rollouts and demonstrations: its gradient is not zero even where every answer of the untrained model is wrong."""
    code, said = door.submit(
        "method=rl_sft_loss",
        "method.rollouts=4",
        "backend=verl_cpu",
        "backend.nodes=2",
        "backend.ray_address=auto",
        "backend.ray_cpus=null",
        "optimisation.rl.steps=2",
        "tracking=disabled",
    )
    assert code == 0, said
    trained = door.only("rl_sft_loss")
    door.wait(door.over, "the training", 1200)
    assert trained.state().status == "done", door.cli("logs", trained.id)[1]
    return trained


def test_it_trains_to_its_last_step_and_is_evaluated(run):
    rows = [row for row in run.metrics() if row["kind"] == "train"]
    assert [row["step"] for row in rows] == [1, 2]
    assert all(row["grad_norm"] > 0 for row in rows)
    assert (run.checkpoints()[-1].path / "model.safetensors").is_file()
    assert list(run.path.glob("eval/*/*/scores.json"))


def test_both_nodes_had_a_ray_node_and_a_worker(run, door):
    said = "\n".join(path.read_text() for path in door.store.root.glob("slurm/arrays/*/*.log"))
    assert all(f"ray node {number}: " in said and "Ray runtime started" in said for number in (0, 1))
    verl = (run.path / "verl.yaml").read_text()
    assert re.search(r"nnodes: 2\b", verl)
    assert re.search(r"n_gpus_per_node: 1\b", verl)
    saved = run.checkpoints()[-1].path / "verl"
    assert {path.name for path in saved.glob("model_world_size_*")} == {
        f"model_world_size_2_rank_{rank}.pt" for rank in (0, 1)
    }


def test_the_base_model_was_made_on_one_node_and_without_ray(run, door):
    tasks = [
        json.loads(path.read_text())["tasks"] for path in door.store.root.glob("slurm/arrays/*/tasks.json")
    ]
    across = {
        task["cell"] for listed in tasks for task in listed.values() if "slurm.ray_cluster" in task["command"]
    }
    assert across == {run.id}


def test_nothing_of_ray_is_left(run, door):
    conf = door.environment["SLURM_CONF"].encode()
    door.wait(
        lambda: not [path for path in Path("/proc").glob("[0-9]*") if _is_rays(path, conf)], "Ray's end"
    )
    assert not list(door.store.root.glob("slurm/arrays/*/ray-*"))


def _is_rays(process: Path, conf: bytes) -> bool:
    try:
        name = (process / "comm").read_text().strip()
        of_ray = name in ("raylet", "gcs_server") or name.startswith("ray::")
        return of_ray and int(process.name) != os.getpid() and conf in (process / "environ").read_bytes()
    except OSError:
        return False
