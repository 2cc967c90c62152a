"""The real-size benchmark: shapes, operations, memory that is really seen, and both contestants on a small shape."""

from __future__ import annotations

import importlib.util
import os
from functools import partial
from pathlib import Path

import pytest

from benchmarks import real_size
from benchmarks.measured import CannotRunError
from benchmarks.process import ProcessDiedError, in_process
from benchmarks.real_size import compete
from benchmarks.real_size_meter import RESET, Meter
from benchmarks.real_size_rows import OURS, PEER, Setting
from benchmarks.real_size_work import Cost, Size, Work, make_model, parameters, update_operations

on_linux = pytest.mark.skipif(
    not RESET.is_file(), reason="the peak of resident memory is read from Linux's /proc"
)
STEP = Size("rollout step", 1, 2, 4, 4, 2, given=False)
LONG = Size("long responses", 1, 2, 4, 16, 1, given=True)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model"), "small")


def stated(work: Work, *, seconds: float, peak_mb: float) -> list[Cost]:
    """A contestant that says what its steps cost."""
    return [Cost(0.0, seconds, seconds, 0.0, peak_mb)] * work.steps


def test_shapes_have_the_published_numbers_of_parameters() -> None:
    # Qwen/Qwen2.5-0.5B and Qwen/Qwen2.5-1.5B, as their safetensors headers count them.
    assert (parameters("0.5B"), parameters("1.5B")) == (494_032_768, 1_543_714_304)


def test_the_small_shape_has_the_parameters_that_are_counted(model: Path) -> None:
    from safetensors import safe_open

    with safe_open(model / "model.safetensors", "pt") as weights:
        assert sum(weights.get_tensor(name).numel() for name in weights.keys()) == parameters("small")  # noqa: SIM118


def test_operations_are_six_a_weight_and_token_with_the_head_on_responses_alone() -> None:
    size = Size("", 1, 2, prompt=3, response=1, micro_rows=1, given=True)
    head = 2048 * 64
    body = 2 * 4 * (parameters("small") - head + 2 * 2 * 64 * 5 / 2)
    assert update_operations("small", size) == 6 * (body + 2 * head)


@on_linux
def test_the_meter_sees_memory_that_was_given_back_and_starts_anew() -> None:
    meter = Meter("cpu")
    before = meter.lap().peak_mb
    block = bytearray(100_000_000)
    del block
    assert meter.lap().peak_mb > before + 90
    assert meter.lap().peak_mb < before + 50


@on_linux
def test_ratios_are_memory_over_the_peers_and_the_peers_seconds_over_ours(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(real_size, "in_process", lambda function, *arguments, threads: function(*arguments))
    plays = {
        PEER: partial(stated, seconds=3.0, peak_mb=1000.0),
        OURS: partial(stated, seconds=2.0, peak_mb=800.0),
    }
    found = compete(Setting("cpu", "small", "float32", LONG), plays, model, threads=1, repetitions=5)
    memory, speed = found.ratios
    assert (memory.median, memory.target, memory.met, memory.repetitions) == (0.8, 1.0, True, 5)
    assert (speed.median, speed.target) == (1.5, None)
    row = found.rows[1]
    assert (row["peak_mb"], row["update_tokens_s"], row["generate_tokens_s"]) == (800, 20.0, None)
    assert row["ceiling_share"] == pytest.approx(
        update_operations("small", LONG) / 2.0 / row["ceiling_operations_s"]
    )


@on_linux
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("size", [STEP, LONG], ids=lambda size: size.name)
def test_our_steps_run(model: Path, dtype: str, size: Size) -> None:
    from benchmarks.real_size_ours import play

    (cost,) = play(Work(model, size, dtype, "cpu", 1))
    assert cost.update > 0
    assert (cost.generate > 0) is not size.given
    assert cost.peak_mb > 50


@on_linux
@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("trl") is None, reason="TRL is not installed (pip install -e .[bench])"
)
@pytest.mark.parametrize("size", [STEP, LONG], ids=lambda size: size.name)
def test_trl_takes_steps_of_the_same_rows(model: Path, size: Size) -> None:
    from benchmarks.real_size_trl import play

    costs = in_process(play, Work(model, size, "float32", "cpu", 2), threads=1)
    assert len(costs) == 2
    assert all((cost.generate > 0) is not size.given and cost.update > 0 for cost in costs)


@pytest.mark.skipif(real_size.has_gpu(), reason="PyTorch sees a GPU here")
def test_without_a_gpu_its_part_is_refused_with_the_reason() -> None:
    with pytest.raises(CannotRunError, match="needs a GPU and a CUDA build of PyTorch"):
        real_size.measure(real_size.parser().parse_args(["--device", "cuda", "--small"]))


def test_settings_of_a_gpu_are_both_shapes_in_bfloat16() -> None:
    asked = real_size.parser().parse_args([])
    found = real_size.settings("cuda", asked)
    assert {(setting.shape, setting.dtype) for setting in found} == {
        ("0.5B", "bfloat16"),
        ("1.5B", "bfloat16"),
    }
    assert len(found) == 4


@pytest.mark.gpu
@pytest.mark.skipif(not real_size.has_gpu(), reason="PyTorch sees no GPU here")
def test_both_parts_run_on_a_gpu(model: Path) -> None:
    from benchmarks.real_size_ours import play

    for size in (STEP, LONG):
        (cost,) = in_process(play, Work(model, size, "bfloat16", "cuda", 1), threads=1)
        assert 0 < cost.update_peak_mb < 2000


def test_a_killed_process_is_said_to_be_killed() -> None:
    with pytest.raises(ProcessDiedError, match="as a rule for want of memory"):
        in_process(os.abort, threads=1)
