"""Ray across two virtual nodes with make-believe GPUs: it spans them, is found, and is gone afterwards."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path

import pytest

from slurm.arrays import Job
from slurm.commands import Slurm, own_environment
from slurm.profile import Profile, Resources
from slurm.submit import Terms, submit

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.verl,
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed: make verl"),
]

PROGRAM = """
import json, os, sys, ray
ray.init(address="auto", log_to_driver=False)
gpu = ray.remote(num_gpus=1)(lambda: os.environ["CUDA_VISIBLE_DEVICES"])
said = {"nodes": sum(node["Alive"] for node in ray.nodes()), "all": ray.cluster_resources()}
said["gpus"] = sorted(ray.get([gpu.remote() for _ in range(4)]))
open(sys.argv[1], "w").write(json.dumps(said))
sys.exit(int(sys.argv[2]))
"""


@pytest.fixture(scope="module")
def cluster(new_sandbox):
    return new_sandbox(nodes=2, cpus=2, gpus=2)


@pytest.mark.parametrize("code", [0, 3])
def test_two_nodes_are_one_cluster_and_the_programs_exit_code_is_the_jobs(cells, cluster, tmp_path, code):
    cells.slurm = Slurm({**own_environment(os.environ), **cluster.environment})
    cells.profile = Profile(resources=Resources(nodes=2, cpus=2, gres="gpu:2", minutes=10))
    cells.add("cell")
    submit(
        cells.slurm,
        cells.book,
        [Job("cell", "train", ("-c", PROGRAM, str(tmp_path / "said"), str(code)))],
        Terms(cells.profile, sys.executable, folder=str(tmp_path)),
        is_done=lambda key: False,
        snapshot=lambda: Path(__file__).parents[2],
    )
    cells.wait(lambda: cells.standings()["cell", "train"].over, 900)
    said = json.loads((tmp_path / "said").read_text())
    assert (said["nodes"], said["all"]["GPU"], said["all"]["CPU"]) == (2, 4.0, 4.0)
    assert said["gpus"] == ["0", "0", "1", "1"]
    cause = cells.standings()["cell", "train"].cause
    assert cause == ("exit 3" if code else "it ended well, but its results are not there (any more)")
    cells.wait(lambda: rays(cluster.conf) == set())


def rays(conf: Path) -> set[str]:
    """Ray's processes that jobs of this cluster started; other people's are not looked at."""
    return {
        path.parent.name for path in Path("/proc").glob("[0-9]*/comm") if _is_ray(path, str(conf).encode())
    }


def _is_ray(path: Path, conf: bytes) -> bool:
    try:
        of_ray = path.read_text().strip() in ("raylet", "gcs_server")
        return of_ray and conf in path.with_name("environ").read_bytes()
    except OSError:
        return False
