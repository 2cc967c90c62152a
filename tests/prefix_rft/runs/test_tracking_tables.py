"""Scores, samples and responses as plain rows: what is in them, and that they are bounded."""

from __future__ import annotations

import json

import pytest

from prefix_rft.errors import RunError
from prefix_rft.runs.store import RunDir
from prefix_rft.runs.tracking_tables import (
    CUT,
    MOST_CHARACTERS,
    RESPONSE_COLUMNS,
    SAMPLE_COLUMNS,
    SCORE_COLUMNS,
    evaluations_digest,
    find_evaluated,
    response_rows,
    sample_rows,
    score_name,
    score_rows,
    score_values,
)

KEY = "eval/test/avg2_00c0ffee/avg_at_2"


def test_a_scores_key_has_only_what_wandb_can_sort_by() -> None:
    assert score_name("aime24", "luffy-1a2b", "pass@8") == "eval/aime24/luffy_1a2b/pass_at_8"


def test_scores_carry_the_ends_of_their_interval(finished: RunDir) -> None:
    values = score_values(find_evaluated(finished.path))
    assert {key: values[key] for key in (KEY, f"{KEY}/low", f"{KEY}/high")} == {
        KEY: 0.75,
        f"{KEY}/low": 0.5,
        f"{KEY}/high": 1.0,
    }
    assert values["eval/test/avg2_00c0ffee/no_answer_share"] == 0.25
    assert "eval/test/avg2_00c0ffee/no_answer_share/low" not in values


def test_a_row_of_scores_carries_its_whole_protocol(finished: RunDir) -> None:
    first = dict(zip(SCORE_COLUMNS, score_rows(find_evaluated(finished.path))[0], strict=True))
    assert (first["split"], first["metric"], first["value"], first["low"]) == ("test", "avg@2", 0.75, 0.5)
    assert (first["questions"], first["samples"], first["protocol"]) == (2, 2, "avg2-00c0ffee")
    assert json.loads(first["protocol_record"]) == {"name": "avg2", "temperature": 0.6}


def test_a_majority_vote_is_a_score_too(finished: RunDir) -> None:
    path = finished.path / "eval" / "test" / "avg2-00c0ffee" / "scores.json"
    estimate = {"value": 1.0, "se_questions": None, "se_samples": None, "ci95": None}
    scores = json.loads(path.read_text()) | {"majority": [{"k": 4, "estimate": estimate, "se_draws": 0.0}]}
    before = evaluations_digest(finished.path)
    path.write_text(json.dumps(scores))
    assert score_values(find_evaluated(finished.path))["eval/test/avg2_00c0ffee/maj_at_4"] == 1.0
    assert evaluations_digest(finished.path) != before


def test_two_protocols_of_one_split_share_no_key(finished: RunDir) -> None:
    first = finished.path / "eval" / "test" / "avg2-00c0ffee"
    second = first.with_name("avg2-decaf000")
    second.mkdir()
    text = (first / "scores.json").read_text().replace("0.75", "0.125")
    (second / "scores.json").write_text(text)
    values = score_values(find_evaluated(finished.path))
    assert (values[KEY], values[KEY.replace("00c0ffee", "decaf000")]) == (0.75, 0.125)


def test_samples_are_the_newest_split_where_imitation_ends(finished: RunDir) -> None:
    rows = [dict(zip(SAMPLE_COLUMNS, row, strict=True)) for row in sample_rows(finished.path, 5)]
    assert [(row["step"], row["imitated"], row["sampled"]) for row in rows] == [(2, "ab", "c"), (3, "", "d")]
    assert [row[0] for row in sample_rows(finished.path, 1)] == [3]
    assert sample_rows(finished.path, 0) == []


def test_responses_are_the_first_of_each_question_with_their_verdict(finished: RunDir) -> None:
    (one,) = find_evaluated(finished.path)
    rows = [dict(zip(RESPONSE_COLUMNS, row, strict=True)) for row in response_rows(one, 64)]
    assert [(row["question"], row["correct"], row["status"]) for row in rows] == [
        ("q1", True, "ok"),
        ("q2", False, "no_answer"),
    ]
    assert rows[1]["response"] == "x" * MOST_CHARACTERS + CUT
    assert [row[2] for row in response_rows(one, 1)] == ["q1"]
    assert response_rows(one, 0) == []


def test_a_run_without_an_evaluation_has_no_digest_of_one(run: RunDir) -> None:
    assert (evaluations_digest(run.path), find_evaluated(run.path)) == ("", [])


def test_damaged_scores_are_named(finished: RunDir) -> None:
    path = finished.path / "eval" / "test" / "avg2-00c0ffee" / "scores.json"
    path.write_text("{")
    with pytest.raises(RunError, match=r"scores\.json"):
        find_evaluated(finished.path)
