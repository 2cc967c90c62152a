"""Ratios by hand; a day's file keeps what other benchmarks put there, whatever happens meanwhile."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks import machine
from benchmarks.measured import Measured, Ratio, keep, part, results
from prefix_rft.errors import RunError


def some_part(value: float = 1.0, load: float = 0.5) -> dict[str, object]:
    return part("grading", Measured([{"wall": value}]), {"samples": 4}, load, 2.0)


def test_a_ratio_is_the_median_of_the_repetitions_with_their_ends() -> None:
    ratio = Ratio.of("speed", "TRL", {"threads": 1}, [2.0, 9.0, 3.0, 2.5, 4.0], target=3.0)
    assert (ratio.low, ratio.median, ratio.high, ratio.repetitions) == (2.0, 3.0, 9.0, 5)
    assert ratio.met is True


@pytest.mark.parametrize(
    ("values", "target", "better", "met"),
    [
        ([2.9], 3.0, "higher", False),
        ([3.1], 3.0, "lower", False),
        ([0.5], 1.0, "lower", True),
        ([1], None, "higher", None),
    ],
)
def test_a_target_is_reached_by_the_median_or_missed(
    values: list[float], target: float | None, better: str, met: bool | None
) -> None:
    assert Ratio.of("speed", "TRL", {}, values, target, better).met is met  # type: ignore[arg-type]


def test_without_a_repetition_there_is_no_ratio() -> None:
    with pytest.raises(ValueError, match="speed: no repetition"):
        Ratio.of("speed", "TRL", {}, [])


def test_a_part_replaces_its_own_and_leaves_the_others(tmp_path: Path) -> None:
    path = keep({"frames": some_part(1.0), "grading": some_part(2.0)}, tmp_path)
    assert keep({"grading": some_part(3.0, load=1.5)}, tmp_path) == path
    (file,) = results(tmp_path)
    assert {name: found["rows"][0]["wall"] for name, found in file["benchmarks"].items()} == {
        "frames": 1.0,
        "grading": 3.0,
    }
    assert file["file"] == path.name == f"{machine.today()}-{machine.label()}.json"
    assert file["machine"]["load"] == 1.5
    assert {"date", "machine", "versions", "commit", "benchmarks"} < file.keys()


def test_benchmarks_that_end_together_lose_nothing(tmp_path: Path) -> None:
    names = [f"benchmark {number}" for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: keep({name: some_part()}, tmp_path), names))
    (file,) = results(tmp_path)
    assert sorted(file["benchmarks"]) == sorted(names)
    assert [path.name for path in tmp_path.iterdir()] == [file["file"]]


def test_a_ratio_says_in_the_file_whether_it_reached_its_target() -> None:
    ratio = Ratio.of("speed", "TRL", {"threads": 1}, [2.0], target=3.0)
    (kept,) = part("local_step", Measured([], [ratio]), {}, 0.0, 1.0)["ratios"]
    assert kept["met"] is False
    assert (kept["against"], kept["setting"], kept["repetitions"]) == ("TRL", {"threads": 1}, 1)


def test_folders_of_this_machine_stay_out_of_the_file(tmp_path: Path) -> None:
    asked = {"data": tmp_path / "data", "folders": [tmp_path / "a"], "samples": 4}
    kept = part("grading", Measured([]), asked, 0.0, 1.0)
    assert kept["asked"] == {"data": "data", "folders": ["a"], "samples": 4}
    assert str(tmp_path) not in json.dumps(kept)


def test_a_file_of_the_form_before_is_neither_read_nor_written_over(tmp_path: Path) -> None:
    old = tmp_path / f"{machine.today()}-{machine.label()}.json"
    old.write_text('{"benchmark": "frames", "rows": []}')
    assert results(tmp_path) == []
    with pytest.raises(RunError, match="earlier form"):
        keep({"frames": some_part()}, tmp_path)
    assert json.loads(old.read_text()) == {"benchmark": "frames", "rows": []}


def test_a_damaged_file_is_named_and_kept(tmp_path: Path) -> None:
    path = keep({"frames": some_part()}, tmp_path)
    path.write_text(path.read_text()[:40])
    for again in (lambda: results(tmp_path), lambda: keep({"frames": some_part()}, tmp_path)):
        with pytest.raises(RunError, match=path.name):
            again()
    assert len(path.read_text()) == 40


def test_figures_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        keep({"frames": some_part(float("nan"))}, tmp_path)
    assert list(tmp_path.iterdir()) == []
