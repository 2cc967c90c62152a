"""All benchmarks one after the other: what is kept, what is said, and the exit code."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import __main__ as everything
from benchmarks import harness, machine
from benchmarks.measured import CannotRunError, Measured, Ratio, results

PAGE = Path(everything.__file__).parents[1] / "docs" / "benchmarks.md"


def stand_in(outcome: Measured | Exception) -> Any:
    def measure(asked: argparse.Namespace) -> Measured:
        if isinstance(outcome, Exception):
            raise outcome
        return Measured([*outcome.rows, {"small": asked.small}], outcome.ratios, outcome.notes)

    return SimpleNamespace(
        parser=lambda: harness.parser("A stand-in."),
        measure=measure,
        table=lambda measured: f"{measured.rows}",
    )


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {
        "frames": stand_in(
            Measured([{"wall": 1.5}], [Ratio.of("speed", "TRL", {}, [2.0])], ["TRL is slow."])
        ),
        "scaling": stand_in(CannotRunError("there is no GPU; take a machine that has one")),
        "grading": stand_in(RuntimeError("the grader is broken")),
    }
    monkeypatch.setattr(everything, "NAMES", tuple(known))
    monkeypatch.setattr(everything, "module", known.__getitem__)


@pytest.mark.usefixtures("benchmarks")
def test_one_that_cannot_run_says_why_and_the_others_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert everything.main(["--results", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert "scaling cannot run here: there is no GPU; take a machine that has one" in said.out
    assert "the grader is broken" in said.err
    assert "frames: measured\nscaling: cannot run here, see above\ngrading: failed, see above\n" in said.out
    assert "TRL is slow." in said.out
    (file,) = results(tmp_path)
    assert list(file["benchmarks"]) == ["frames"]
    kept = file["benchmarks"]["frames"]
    assert kept["rows"] == [{"wall": 1.5}, {"small": False}]
    assert (kept["asked"], kept["ratios"][0]["median"], kept["notes"]) == (
        {"small": False},
        2.0,
        ["TRL is slow."],
    )


@pytest.mark.usefixtures("benchmarks")
@pytest.mark.parametrize(("names", "code"), [(["frames"], 0), (["scaling"], 1), (["frames", "grading"], 1)])
def test_what_was_asked_for_by_name_must_run(names: list[str], code: int, tmp_path: Path) -> None:
    assert everything.main([*names, "--results", str(tmp_path)]) == code


def test_all_that_this_machine_can_run_is_enough_without_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(everything, "NAMES", ("scaling",))
    monkeypatch.setattr(everything, "module", lambda name: stand_in(CannotRunError("no GPU")))
    assert everything.main(["--results", str(tmp_path)]) == 0


@pytest.mark.usefixtures("benchmarks")
def test_a_small_size_is_kept_only_where_a_folder_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(harness, "RESULTS", tmp_path / "results")
    assert everything.main(["frames", "--small"]) == 0
    assert "not kept" in capsys.readouterr().out
    assert not (tmp_path / "results").exists()
    assert everything.main(["frames", "--small", "--results", str(tmp_path)]) == 0
    assert results(tmp_path)[0]["benchmarks"]["frames"]["rows"][1] == {"small": True}
    assert everything.main(["frames"]) == 0
    assert results(tmp_path / "results")[0]["benchmarks"]["frames"]["rows"][1] == {"small": False}


def test_a_benchmark_by_itself_says_why_it_cannot_run(tmp_path: Path) -> None:
    alone = stand_in(CannotRunError("there is no data; name its folder"))
    with pytest.raises(SystemExit, match="grading cannot run here: there is no data; name its folder"):
        harness.alone("grading", alone.parser(), alone.measure, alone.table, ["--results", str(tmp_path)])
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_none_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        everything.main(["lokal_step"])
    assert "no benchmark 'lokal_step'. Known: local_step, scaling" in capsys.readouterr().err


def test_the_load_is_that_before_the_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    loads = iter([0.25, 7.0])
    monkeypatch.setattr(machine, "load", lambda: next(loads))
    idle = stand_in(Measured([]))
    assert harness.take("frames", idle.parser().parse_args([]), idle.measure, idle.table)["load"] == 0.25


@pytest.mark.parametrize("name", everything.NAMES)
def test_every_benchmark_has_the_shape_that_the_harness_takes(name: str) -> None:
    found = everything.module(name)
    assert name == found.NAME
    assert found.parser().parse_args(["--small"]).small is True
    assert found.parser().parse_args([]).results is None
    assert callable(found.measure)
    assert callable(found.table)
    assert f"<!-- measured {name} -->" in PAGE.read_text(encoding="utf-8")


def test_every_result_that_is_kept_is_of_a_known_benchmark_and_says_what_it_must() -> None:
    for file in results():
        assert re.fullmatch(r"\d{4}-\d\d-\d\d-[a-z0-9-]+\.json", file["file"])
        assert set(file["benchmarks"]) <= set(everything.NAMES)
        for part in file["benchmarks"].values():
            assert not part["asked"].get("small")
            assert part["rows"]
            assert json.dumps(part, allow_nan=False)
