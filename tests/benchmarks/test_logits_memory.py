"""The memory benchmark measures what it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import logits_memory
from benchmarks.logits_memory import Size, run
from benchmarks.measured import CannotRunError

linux = pytest.mark.skipif(
    not logits_memory.PEAK.is_file(), reason="the peak of resident memory is read from Linux's /proc"
)


@linux
@pytest.mark.slow
def test_the_plain_computation_takes_several_times_its_logits_and_the_chunked_one_does_not() -> None:
    size = Size(tokens=1024, vocabulary=20_000, width=8, budget=1 << 20)
    plain, chunked = run("plain", size, threads=1), run("chunked", size, threads=1)
    assert plain["peak_extra_mb"] > 2 * size.logits_mb
    assert chunked["peak_extra_mb"] < size.logits_mb / 2


@linux
def test_figures_are_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    logits_memory.main(["--tokens", "64", "--vocabulary", "1000", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["logits_mb"] == pytest.approx(0.256)
    assert found["seconds"] > 0


def test_ratios_are_those_of_the_plain_computation_over_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    peaks = {"plain": iter([800.0, 900.0, 1000.0]), "chunked": iter([100.0, 90.0, 250.0])}
    seconds = {"plain": 2.0, "chunked": 4.0}
    monkeypatch.setattr(
        logits_memory,
        "run",
        lambda name, size, threads: {"peak_extra_mb": next(peaks[name]), "seconds": seconds[name]},
    )
    monkeypatch.setattr(logits_memory, "PEAK", Path(__file__))
    asked = logits_memory.parser().parse_args(
        ["--tokens", "1000", "--vocabulary", "50000", "--repetitions", "3"]
    )
    found = logits_memory.measure(asked)
    memory, time = found.ratios
    assert (memory.low, memory.median, memory.high) == (4.0, 8.0, 10.0)
    assert (time.median, time.repetitions) == (0.5, 3)
    assert [(row["name"], row["share_of_logits"]) for row in found.rows] == [("plain", 4.5), ("chunked", 0.5)]


def test_a_system_that_does_not_tell_a_peak_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logits_memory, "PEAK", Path("/no/such/file"))
    with pytest.raises(CannotRunError, match="run it on Linux"):
        logits_memory.measure(logits_memory.parser().parse_args([]))


@linux
def test_the_small_size_is_measured_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logits_memory.main(["--small", "--results", str(tmp_path)])
    (file,) = tmp_path.iterdir()
    found = json.loads(file.read_text())["benchmarks"]["logits_memory"]
    assert [(row["name"], row["repetitions"]) for row in found["rows"]] == [("plain", 1), ("chunked", 1)]
    assert "all logits MB" in capsys.readouterr().out
