"""The published facts: read whole, found by name, and their contradictions listed."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from analysis.published import PUBLISHED, RE_EVALUATION, SCHEDULE, number
from analysis.published_protocols import departures, how
from analysis.published_results import (
    AVERAGES,
    FILE,
    PublishedResult,
    contradictions,
    models,
    plain,
    published_results,
    search,
)
from eval.protocol import ProtocolRecord

ONE = PublishedResult(
    "SFT", "Qwen2.5-Math-7B", "AIME24", "20.0", "avg@32", "LUFFY arXiv 2504.14945v5 Table 1", ""
)


def test_the_file_is_read_whole() -> None:
    rows = published_results()
    assert len(rows) == 1013
    assert all(
        row.method and row.model and row.benchmark and row.text and row.metric and row.source for row in rows
    )
    assert models()[0] == "Qwen2.5-Math-7B"


def test_the_file_is_the_collection_it_was_copied_from(shared_data: Path) -> None:
    with (shared_data / "published_results.csv").open(newline="") as theirs, FILE.open(newline="") as ours:
        assert list(csv.reader(theirs)) == list(csv.reader(ours))


def test_words_are_no_scores() -> None:
    words = [row.text for row in published_results() if row.score is None]
    assert words == ["<45", "worse (no number)"]


def test_search_by_model_method_and_benchmark() -> None:
    [row] = search("qwen2.5-math-7b", "prefix-rft", ["aime24"], source="Prefix-RFT arXiv 2507.01679 Table 1")
    assert (row.score, row.metric) == (31.8, "avg@32")
    assert {row.model for row in search("llama-3.1-8b")} == {"LLaMA-3.1-8B", "Llama-3.1-8B"}
    assert {row.benchmark for row in search(benchmarks=["math500", "AMC"])} == {"MATH-500", "AMC"}
    assert search("gpt-2") == []


def test_names_without_case_and_punctuation() -> None:
    assert plain("MATH-500") == plain("math500")
    assert plain("SFT+RFT") != plain("SFT->RFT")


def test_the_known_contradictions_and_no_other() -> None:
    # All within what rounding of the parts can do; the file is not corrected.
    found = {
        (one.result.method, one.result.benchmark, one.result.text, round(one.mean, 2))
        for one in contradictions()
    }
    assert found == {
        ("LUFFY", "Avg5+MMLU-Pro", "50.9", 50.97),
        ("SFT->RL (corrected)", "Avg5", "43.7", 43.64),
        ("SRFT", "Avg6", "33.7", 33.63),
        ("ReLIFT", "Avg6", "34.0", 33.93),
    }


def test_a_contradiction_is_one_beyond_rounding() -> None:
    parts = [replace(ONE, benchmark=name) for name in AVERAGES["AvgOOD"]]
    assert contradictions([*parts, replace(ONE, benchmark="AvgOOD", text="20.0")]) == []
    [found] = contradictions([*parts, replace(ONE, benchmark="AvgOOD", text="20.1")])
    assert found.mean == pytest.approx(20.0)
    assert contradictions([*parts[:2], replace(ONE, benchmark="AvgOOD", text="90.0")]) == []


def test_tables_take_their_numbers_from_the_file() -> None:
    assert number("sft_rft", RE_EVALUATION) == 57.0
    assert number("cosine", SCHEDULE) is None
    shown = {(known.row, known.source.name): known.value for known in PUBLISHED}
    assert len(shown) == len(PUBLISHED) == 33
    in_file = {row.score for row in published_results()}
    assert set(shown.values()) <= in_file


RECORD = ProtocolRecord(
    name="luffy", split="aime24", questions=30, content="c", samples=32, temperature=0.6, top_p=1.0, max_tokens=8192,
    seed=0, template="tokenizer", grader="math-verify 0.9.0 or exact string", extraction=("last_boxed",),
    verdict_seconds=5.0, sampler="local", sampler_version="1",
)  # fmt: skip


def test_what_a_source_did_otherwise() -> None:
    assert list(departures(ONE, RECORD)) == ["g"]  # LUFFY: OAT's grader
    assert list(departures(replace(ONE, source="HPT arXiv 2509.04419v2 Table 2"), RECORD)) == ["p", "g"]
    assert list(departures(replace(ONE, source="SFT-then-RL arXiv 2604.23747 Table 1/5"), RECORD)) == ["p?"]
    assert list(departures(ONE, RECORD.model_copy(update={"samples": 8, "temperature": 1.0}))) == [
        "t",
        "g",
        "n",
    ]
    assert list(departures(replace(ONE, metric="pass@2048"), RECORD)) == ["g", "n?"]


def test_nothing_is_known_of_an_unknown_source() -> None:
    assert how("somebody").temperature is None
    assert list(departures(replace(ONE, source="somebody"), RECORD)) == ["t?", "p?", "l?", "g?"]
