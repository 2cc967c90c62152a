"""Tables of runs that are measured on several benchmarks: every benchmark, their mean, and what was published."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from analysis.cells import Cell, cell_of
from analysis.layout import Table
from analysis.orderings import findings
from analysis.published_table import published_table
from analysis.questions import question_frame
from analysis.render import entry_text, latex, markdown
from analysis.results import Results, load_results
from analysis.tables import main_table
from eval.intervals import average, interval, spread
from eval.protocol import ProtocolError
from prefix_rft import keyed

SIX = ("aime24", "aime25", "amc", "math500", "minerva", "olympiad")
PARTS: dict[str, str | None] = dict.fromkeys(SIX)
ALL, HALF, NONE = [[1, 1]] * 4, [[1, 0]] * 4, [[0, 0]] * 4


def shown(table: Table) -> list[dict[str, str]]:
    return [
        {
            column.key: entry_text(entry, column)
            for entry, column in zip(row.entries, table.columns, strict=True)
        }
        for row in table.rows
    ]


def verdicts(rate: float, *parts: keyed.Part, questions: int = 40, samples: int = 2) -> np.ndarray[Any, Any]:
    return keyed.generator("bits", *parts).uniform(size=(questions, samples)) < rate


def on_six(build: Any, method: str, rate: float, seeds: int = 2, **changes: Any) -> list[Cell]:
    return [
        build.on_benchmarks(
            method, seed, {name: verdicts(rate, method, seed, name) for name in SIX}, **changes
        )
        for seed in range(seeds)
    ]


def pretrained(build: Any, **changes: Any) -> dict[str, Any]:
    """A model that the hub has, without its files."""
    folder = build.store.root.parent / "model"
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text("{}")
    return {"model": {"kind": "pretrained", "path": str(folder), "source": "Qwen/Qwen2.5-Math-7B"} | changes}


def test_the_mean_counts_benchmarks_alike_however_many_problems_they_have(build: Any) -> None:
    cell = build.on_benchmarks("sft", 0, {"aime24": [[1, 1]] * 2, "amc": [[0, 0]] * 30})
    results = load_results(build.store, [cell], parts={"aime24": None, "amc": None})
    (done,) = results.evaluated("SFT")
    assert results.metrics == ("Avg", "AIME24", "AMC", "Avg pass@2", "AIME24 pass@2", "AMC pass@2")
    assert [done.mean(metric) for metric in results.metrics[:3]] == [0.5, 1.0, 0.0]
    assert (done.questions, results.questions, results.measured_on) == (32, 32, "AIME24, AMC")


def test_intervals_are_those_of_the_evaluation_suite(build: Any) -> None:
    bits = {name: verdicts(0.4, name) for name in ("aime24", "amc")}
    cell = build.on_benchmarks("sft", 0, bits)
    (done,) = load_results(build.store, [cell], parts=dict.fromkeys(bits)).evaluated("SFT")
    spreads = [spread(of.mean(axis=1)) for of in bits.values()]
    assert done.interval("Avg") == interval(average(spreads))
    assert done.interval("AMC") == interval(spreads[1])
    assert done.interval("AMC") == done.parts["amc"].scores.headline.ci95


def test_the_papers_layout_has_a_column_a_benchmark_and_the_mean_behind_them(build: Any) -> None:
    cells = on_six(build, "prefix_rft", 0.9) + on_six(build, "rft", 0.3)
    table = main_table(load_results(build.store, cells, parts=PARTS))
    titles = [column.title for column in table.columns]
    assert titles[2:9] == [
        f"{name} (%)" for name in ("AIME24", "AIME25", "AMC", "MATH-500", "Minerva", "Olympiad", "Avg")
    ]
    best, other = shown(table)
    assert all("‡" in other[name] for name in ("Avg", "AIME24", "Olympiad"))
    assert (best["to_best"], "240 questions of AIME24, AIME25" in table.notes[0]) == ("best", True)
    assert r"\textbf" in latex(table)
    assert "**" in markdown(table)


def test_a_run_without_one_benchmark_is_missing_and_says_which(build: Any) -> None:
    partly = build.on_benchmarks("rft", 0, dict.fromkeys(SIX[:5], ALL))
    done = build.on_benchmarks("sft", 0, dict.fromkeys(SIX, HALF))
    table = main_table(load_results(build.store, [done, partly], parts=PARTS))
    assert any("RFT, seed 0" in note and "not evaluated on Olympiad" in note for note in table.notes)


def test_one_benchmark_is_shown_like_a_split(build: Any) -> None:
    cell = build.on_benchmarks("sft", 0, {"aime24": HALF})
    results = load_results(build.store, [cell], parts={"aime24": None})
    assert (results.metrics, results.measured_on) == (("avg@2", "pass@2"), "AIME24")


def test_protocols_are_not_mixed_on_one_benchmark(build: Any) -> None:
    cells = [build.on_benchmarks("sft", 0, {"aime24": HALF, "amc": HALF})]
    run = build.new("rft", 0)
    build.evaluate(run, np.array(HALF, bool), "aime24", name="luffy")
    build.evaluate(run, np.array(HALF, bool), "amc", name="luffy", temperature=0.9)
    with pytest.raises(ProtocolError, match=r"temperature: 0\.6 and 0\.9"):
        load_results(build.store, [*cells, cell_of(run)], parts={"aime24": None, "amc": None})


def test_the_protocol_of_all_benchmarks_stands_in_one_line(build: Any) -> None:
    results = load_results(build.store, on_six(build, "sft", 0.5), parts=PARTS)
    line = results.protocol_line
    assert line is not None
    assert line.startswith("Protocol luffy: aime24, 40 questions (content c0ffee00) x 2 samples; aime25, 40 ")
    assert line.count("temperature") == 1


def published(results: Results) -> list[dict[str, str]]:
    table = published_table(results)
    assert table is not None
    return shown(table)


def test_ours_and_published_stand_under_each_other_with_the_difference(build: Any) -> None:
    cells = on_six(build, "prefix_rft", 0.9, **pretrained(build))
    results = load_results(build.store, cells, parts=PARTS)
    here, paper, gap, *_ = [row for row in published(results) if row["row"] == "Prefix-RFT"]
    assert (here["whose"], paper["whose"], gap["whose"]) == ("here", "[a]", "here minus [a]")
    ours = float(here["Avg"].split(" ± ")[0])
    assert paper["Avg"].startswith("51.8")
    assert float(gap["Avg"].split(" ± ")[0]) == pytest.approx(ours - 51.8, abs=0.11)
    # The paper sampled AIME 32 times and at another top_p; the grader of its source is not known.
    assert "n" in paper["AIME24"]
    assert "p" in paper["AIME24"]


def test_no_difference_is_taken_to_another_base_model(build: Any) -> None:
    cells = on_six(build, "prefix_rft", 0.9, **pretrained(build, source="Qwen/Qwen2.5-Math-1.5B"))
    rows = published(load_results(build.store, cells, parts=PARTS))
    gaps = [row["Avg"] for row in rows if row["whose"] == "here minus [a]"]
    assert gaps == ["another base model"]


def test_claims_on_many_samples_are_judged_on_their_own_benchmark(build: Any) -> None:
    parts: dict[str, str | None] = {"aime24": None, "aime25": None}
    cells = [
        build.on_benchmarks(method, seed, {"aime24": bits, "aime25": NONE})
        for method, bits in (("prefix_rft", ALL), ("rft", HALF))
        for seed in (0, 1)
    ]
    found = findings(load_results(build.store, cells, parts=parts, sweep="pass_at_k"))
    by_source = {(one.claim.text, one.claim.source.benchmark): one.metric for one in found if one.comparison}
    many, mean = ("Prefix-RFT > RFT", "AIME24"), ("Prefix-RFT > RFT", "Avg6")
    assert by_source == {many: "AIME24 pass@2", mean: "Avg"}


def test_questions_are_counted_one_by_one(build: Any) -> None:
    cell = build.on_benchmarks("sft", 0, {"aime24": [[1, 0], [1, 1]], "amc": [[0, 0]]})
    frame = question_frame(load_results(build.store, [cell], parts={"aime24": None, "amc": None}))
    assert frame[["part", "question", "correct", "samples"]].to_numpy().tolist() == [
        ["aime24", "q000", 1, 2],
        ["aime24", "q001", 2, 2],
        ["amc", "q000", 0, 2],
    ]


def test_a_seed_that_was_not_begun_hides_no_base_model(build: Any) -> None:
    cells = on_six(build, "prefix_rft", 0.9, **pretrained(build))
    absent = Cell("0123456789ab", "prefix_rft", 7, cells[0].label)
    rows = published(load_results(build.store, [absent, *cells], parts=PARTS))
    gap = next(row["Avg"] for row in rows if row["whose"] == "here minus [a]")
    assert gap != "another base model"


def test_changed_problems_are_marked_beside_the_published_number(build: Any) -> None:
    run = build.new("prefix_rft", 0, **pretrained(build))
    for name in SIX:
        changes = ("2 problems missing",) if name == "amc" else ()
        build.evaluate(run, np.array(HALF, bool), name, name="luffy", data_changes=changes)
    rows = published(load_results(build.store, [cell_of(run)], parts=PARTS))
    (paper,) = [row for row in rows if (row["row"], row["whose"]) == ("Prefix-RFT", "[a]")]
    marked = {name for name in ("AIME24", "AMC", "Avg") if ",d]" in paper[name]}
    assert marked == {"AMC", "Avg"}


def test_a_claim_on_many_samples_is_not_judged_on_few(build: Any) -> None:
    cells = [
        build.on_benchmarks(method, seed, {"aime24": bits, "math500": [[1]] * 4})
        for method, bits in (("prefix_rft", ALL), ("rft", HALF))
        for seed in (0, 1)
    ]
    parts: dict[str, str | None] = {"aime24": None, "math500": None}
    found = findings(load_results(build.store, cells, parts=parts, sweep="pass_at_k"))
    many = [one for one in found if one.claim.samples == "many"]
    assert {one.verdict for one in many} == {"not tested"}
    assert {one.reason for one in many} == {"no pass@k of AIME24", "no pass@k of AIME25"}


def test_benchmarks_that_were_asked_differently_are_refused_at_once(build: Any) -> None:
    run = build.new("sft", 0)
    build.evaluate(run, np.array(HALF, bool), "aime24", name="luffy", sampler_version="vllm 0.8")
    build.evaluate(run, np.array(HALF, bool), "amc", name="luffy", sampler_version="vllm 0.9")
    with pytest.raises(ProtocolError, match="sampler_version"):
        load_results(build.store, [cell_of(run)], parts={"aime24": None, "amc": None})


def test_a_half_begun_sweep_keeps_its_base_models_apart(build: Any) -> None:
    """What was asked says which base model a row stands on, whether it was begun or not."""
    one, other = ({"model": {"kind": "tiny", "base_seed": seed}} for seed in (0, 2))
    begun = [
        replace(build.done("rft", 0, HALF, **one), label="RFT, base_seed=0"),
        replace(build.done("prefix_rft", 0, HALF, **other), label="Prefix-RFT, base_seed=2"),
    ]
    lacking = {
        "a" * 12: ("rft", "RFT, base_seed=2", build.config("rft", 0, **other)),
        "b" * 12: ("prefix_rft", "Prefix-RFT, base_seed=0", build.config("prefix_rft", 0, **one)),
    }
    absent = [Cell(run_id, method, 0, label) for run_id, (method, label, _) in lacking.items()]
    asked = {run_id: config for run_id, (_, _, config) in lacking.items()}
    assert load_results(build.store, [*begun, *absent], asked=asked).bases == ("base_seed=0", "base_seed=2")
