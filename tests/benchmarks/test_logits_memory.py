"""The memory benchmark measures what it says."""

from __future__ import annotations

import json

import pytest

from benchmarks import logits_memory
from benchmarks.logits_memory import Size, measure


@pytest.mark.skipif(
    not logits_memory.PEAK.is_file(), reason="the peak of resident memory is read from Linux's /proc"
)
def test_the_plain_computation_takes_several_times_its_logits_and_the_chunked_one_does_not() -> None:
    size = Size(tokens=1024, vocabulary=20_000, width=8, budget=1 << 20)
    plain, chunked = measure("plain", size, threads=1), measure("chunked", size, threads=1)
    assert plain["peak_extra_mb"] > 2 * size.logits_mb
    assert chunked["peak_extra_mb"] < size.logits_mb / 2


def test_figures_are_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    logits_memory.main(["--tokens", "64", "--vocabulary", "1000", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["logits_mb"] == pytest.approx(0.256)
    assert found["seconds"] > 0
