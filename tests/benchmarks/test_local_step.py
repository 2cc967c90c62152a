"""The step benchmark's own arithmetic and files; TRL itself is played only where it is installed."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest

from benchmarks import local_step, machine
from benchmarks.local_step import Row, compete, contestants, table
from benchmarks.stated import Stated
from benchmarks.steps import Work
from prefix_rft.local.initial import write_random_model
from prefix_rft.settings import Architecture


@pytest.fixture
def model(tmp_path: Path) -> Path:
    from prefix_rft.data.chain_encoder import ChainEncoder

    encoder = ChainEncoder(4)
    write_random_model(
        tmp_path, Architecture(), vocabulary=encoder.vocabulary_size, eos_id=encoder.eos_id, pad_id=encoder.pad_id,
        seed=0,
    )  # fmt: skip
    encoder.save(tmp_path)
    return tmp_path


def test_ratios_are_the_peers_median_over_the_contestants_without_warm_up() -> None:
    work = Work(Path(), questions=4, rollouts=8, max_new=32, learning_rate=1e-3, threads=1)
    peer, other = compete(
        {name: Stated(seconds, local_step.WARM_UP) for name, seconds in (("TRL", 0.3), ("ours", 0.1))},
        work,
        steps=3,
    )
    assert (peer.wall, peer.cpu, peer.speedup_wall) == (0.3, 0.15, 1.0)
    assert (other.speedup_wall, other.speedup_cpu) == pytest.approx((3.0, 3.0))
    assert other.tokens == 40
    assert 10 < other.peak_mb < 2000


def test_a_contestant_that_dies_ends_the_benchmark() -> None:
    work = Work(Path("/no/such/model"), questions=1, rollouts=2, max_new=32, learning_rate=1e-3, threads=1)
    play = contestants("on", 2048)["ours, zero rows skipped"]
    with pytest.raises(SystemExit, match="ours died with exit code 1"):
        compete({"ours": play}, work, steps=1)


def test_our_steps_run(model: Path) -> None:
    work = Work(model, questions=2, rollouts=4, max_new=32, learning_rate=1e-3, threads=1)
    (row,) = compete({"ours": contestants("off", 2048)["ours, all rows"]}, work, steps=1)
    assert row.cpu > 0
    assert 8 <= row.tokens <= 2 * 4 * 32


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("trl") is None, reason="TRL is not installed (pip install -e .[bench])"
)
def test_the_whole_benchmark_writes_its_result(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--questions", "2", "--threads", "1", "--steps", "1", "--max-new", "32"]
    local_step.main([*options, "--model", str(model), "--results", str(tmp_path / "results")])
    (file,) = (tmp_path / "results").iterdir()
    found = json.loads(file.read_text())
    assert [row["name"] for row in found["rows"]] == ["TRL", "ours, all rows", "ours, zero rows skipped"]
    assert found["rows"][0]["speedup_wall"] == 1
    assert "ours, all rows" in capsys.readouterr().out


def test_the_table_has_a_line_a_row() -> None:
    row = Row("TRL", 16, 1, 12, 0.3, 0.2, 3000, 650, 1.0, 1.0)
    assert len(table([row, row]).splitlines()) == 3


def test_the_machine_is_named_by_its_processor() -> None:
    import platform

    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", machine.label())
    assert machine.label().endswith(f"{machine.cores()}-cores")
    assert platform.node().lower() not in machine.label()
