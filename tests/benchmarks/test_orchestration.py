"""The orchestration benchmark: its sweep, its stand-in for SLURM, the growth that it states, and all of it once."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from benchmarks import orchestration as benchmark
from benchmarks.orchestration_cluster import empty, install, jobs
from benchmarks.orchestration_sweep import SWEEP, Grid
from experiments import sweeps
from experiments.grid import expand

SCRIPT = "#!/bin/bash\n#SBATCH --array=0-1,4%2\n#SBATCH --comment={}\n"


@pytest.mark.parametrize(
    ("cells", "rows", "seeds"), [(4, 2, 2), (10, 2, 5), (100, 10, 10), (1000, 20, 50), (10000, 100, 100)]
)
def test_both_axes_of_the_sweep_grow(cells: int, rows: int, seeds: int) -> None:
    assert (Grid(cells).rows, Grid(cells).seeds) == (rows, seeds)


def test_the_sweep_has_as_many_cells_as_it_says() -> None:
    found = expand(sweeps.load(SWEEP), Grid(100).overrides(Path("runs"))).cells
    assert len({cell.overrides for cell in found}) == 100


def test_the_cluster_takes_arrays_and_answers_as_slurm(tmp_path: Path) -> None:
    programs = install(tmp_path / "bin")

    def ask(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(programs / command[0]), *command[1:]], cwd=tmp_path, capture_output=True, text=True
        )

    for comment in ("first", "second"):
        (tmp_path / "script.sh").write_text(SCRIPT.format(comment))
        assert ask("sbatch", "--parsable", "script.sh").stdout in ("11\n", "12\n")
    assert jobs(programs)[-1] == "12_4|second"
    assert ask("squeue", "--jobs", "11").stdout.splitlines()[0] == "11_0|PENDING||Priority|0|0|0:00|first"
    assert len(ask("squeue", "--me").stdout.split()) == 6
    assert ask("sacct").returncode == 1
    empty(programs)
    assert "Invalid job id" in ask("squeue", "--jobs", "11").stderr


def row(cells: int, seconds: float, peak_mb: float) -> benchmark.Row:
    return {"cells": cells, "step": "plan", "seconds": seconds, "peak_mb": peak_mb}


def test_growth_is_the_exponent_from_the_size_before() -> None:
    rows = [row(10, 1.0, 50.0), row(100, 2.0, 50.0), row(1000, 200.0, 500.0)]
    found = [benchmark.growth(one, rows) for one in rows]
    assert found[0] == {"growth": None, "memory_growth": None}
    assert found[2]["growth"] == pytest.approx(2.0)
    assert found[2]["memory_growth"] == pytest.approx(1.0)


def test_a_step_that_is_not_linear_is_said_aloud() -> None:
    rows = [row(1000, 200.0, 500.0) | {"growth": 2.0, "memory_growth": 1.0}]
    assert any("Not linear: plan grows with the power 2.00" in note for note in benchmark._notes(rows))


@pytest.mark.slow
def test_every_step_is_measured_in_a_process_of_its_own(tmp_path: Path) -> None:
    benchmark.main(["--small", "--results", str(tmp_path)])
    (file,) = tmp_path.iterdir()
    rows = json.loads(file.read_text())["benchmarks"]["orchestration"]["rows"]
    assert [found["step"] for found in rows] == [*benchmark.QUEUED, *benchmark.FINISHED]
    gave = {found["step"]: found["gave"] for found in rows}
    # Four cells and their base model; commands end with 0.
    assert (gave["compose"], gave["frames, first"], gave["report, first"]) == (4, 5, 0)
    assert all(found["seconds"] > 0 and found["peak_mb"] > 10 for found in rows)
