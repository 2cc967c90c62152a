"""What lighteval is given to read."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest

from eval.benchmarks.registry import BENCHMARKS
from eval.benchmarks.schema import Problem
from eval.lighteval.export import export, problem_lines, protocol_json, read_evaluation, shown_part
from eval.protocols.catalogue import PROTOCOLS
from prefix_rft.errors import DataError
from prefix_rft.settings.grading import GradingSettings

SUMS = [Problem("s1", "1 + 1", "2"), Problem("s2", "2 + 2", "4")]
RIGHT = {"s1": ["<think>3</think> \\boxed{2}\n", "\\boxed{2}"], "s2": ["\\boxed{4}", "\\boxed{5}"]}


@pytest.mark.parametrize(
    ("think", "closed", "open_"),
    [
        ("whole", "<think>a</think>b</think> c", "<think>a"),
        ("after_close", "c", "<think>a"),
        ("required", "c", ""),
    ],
)
def test_the_part_that_is_graded(think, closed, open_):
    assert shown_part(" <think>a</think>b</think> c\n", think) == closed
    assert shown_part("<think>a ", think) == open_


def test_files_for_lighteval(evaluation, tmp_path):
    made = evaluation("test", SUMS, RIGHT, GradingSettings(think="after_close"))
    variables = export([made], tmp_path / "work")
    rows = pq.read_table(f"{variables['PREFIX_RFT_SAMPLES']}/problems.parquet").to_pylist()
    assert [(row["question_id"], row["sample"], row["response"]) for row in rows] == [
        ("s1", 0, "\\boxed{2}"),
        ("s1", 1, "\\boxed{2}"),
        ("s2", 0, "\\boxed{4}"),
        ("s2", 1, "\\boxed{5}"),
    ]
    problems = (tmp_path / "work/benchmarks/problems.jsonl").read_text().splitlines()
    assert json.loads(problems[1]) == {"id": "s2", "problem": "2 + 2", "answer": "4"}
    protocol = json.loads(variables["PREFIX_RFT_PROTOCOL"])
    assert (protocol["samples"], protocol["pass_at"]) == ({"problems": 2}, {"problems": [1, 2]})


def test_a_benchmark_has_its_own_task_and_file(evaluation, tmp_path):
    made = evaluation("amc", SUMS, RIGHT)
    assert made.task == "amc"
    export([made], tmp_path / "work")
    assert (tmp_path / "work/benchmarks/amc_83.jsonl").exists()


def test_options_make_another_task(evaluation):
    options = [Problem("q", "Which?\nA. this\nB. that", "A"), Problem("r", "Who?\nA) I\nB) you", "B")]
    made = evaluation("own", options, {"q": ["\\boxed{A}"], "r": ["\\boxed{A}"]})
    assert made.task == "choices"


def test_two_of_a_task_cannot_be_exported_together(evaluation, tmp_path):
    made = evaluation("test", SUMS, RIGHT)
    with pytest.raises(DataError, match="two evaluations of problems"):
        export([made, made], tmp_path / "work")


def test_a_question_without_a_problem_is_named(evaluation):
    made = evaluation("test", SUMS, RIGHT)
    with pytest.raises(DataError, match=r"1 questions .* not among the 1 problems given, e.g. 's2'"):
        read_evaluation(made.folder, SUMS[:1])
    more = [*SUMS, Problem("s3", "3", "3")]
    assert [problem.id for problem in read_evaluation(made.folder, more).problems] == ["s1", "s2"]


@pytest.mark.parametrize(
    ("meta", "options"),
    [({"options": ["a", "b"]}, 2), ({"options": 5}, 5), ({}, None), ({"options": "?"}, None)],
)
def test_the_number_of_options_goes_along(meta, options):
    row = json.loads(problem_lines([Problem("q", "?", "A", meta)]))
    assert row.get("options") == options


def test_a_named_protocol_for_other_users():
    written = json.loads(protocol_json(PROTOCOLS["luffy"]))
    assert written["name"] == "luffy"
    assert written["assistant_start"] == "<think>\n"
    assert written["max_tokens"] == 8192
    assert written["samples"] == {name: benchmark.samples for name, benchmark in BENCHMARKS.items()}
