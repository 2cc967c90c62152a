"""Lengths and forms of responses, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eval.form import format_rate, has_form, lengths, thinks
from eval.samples import SAMPLES, Sample, write_rows
from prefix_rft.errors import DataError


def test_lengths_by_hand() -> None:
    found = lengths(
        np.array([10, 20, 30, 100]), np.array([True, True, True, False]), np.array([True, True, False, False])
    )
    assert (found.mean, found.median) == (40.0, 25.0)
    assert found.p95 == pytest.approx(30 + 0.85 * 70)
    assert (found.mean_correct, found.mean_wrong, found.truncated_wrong_share) == (15.0, 65.0, 0.5)


def test_nothing_wrong_has_no_length_of_the_wrong() -> None:
    found = lengths(np.array([10]), np.array([True]), np.array([True]))
    assert (found.mean_correct, found.mean_wrong, found.truncated_wrong_share) == (10.0, None, None)


@pytest.mark.parametrize(
    ("response", "answered", "opened", "formed"),
    [
        ("so 7", True, False, True),
        ("so", False, False, False),
        ("hm </think> 7", True, True, True),
        ("hm 7", True, True, False),
        ("<think> hm </think> 7", True, False, True),
        ("<think> hm 7", True, False, False),
        ("hm </think> 7 <think> or", True, True, False),
        ("<think> hm </think>", False, False, False),
    ],
)
def test_an_answer_and_no_thought_left_open(
    response: str, answered: bool, opened: bool, formed: bool
) -> None:
    assert has_form(response, answered, opened) is formed


def test_texts_are_read_only_where_thoughts_are_opened(tmp_path: Path, case: Any) -> None:
    path = tmp_path / "samples.parquet"
    write_rows(
        path, SAMPLES, [Sample("q", i, text, 3, True, 0) for i, text in enumerate(["a </think> 1", "a 1"])]
    )
    answered = np.array([True, True])
    thinking = case.record(assistant_start="<think>\n")
    assert not thinks(case.record())
    assert thinks(thinking)
    assert format_rate(path, answered, thinking) == 0.5
    assert format_rate(tmp_path / "absent", answered, case.record()) == 1.0


def test_a_damaged_file_is_named(tmp_path: Path, case: Any) -> None:
    path = tmp_path / "samples.parquet"
    path.write_bytes(b"PAR1 no more")
    with pytest.raises(DataError, match=r"samples\.parquet is damaged"):
        format_rate(path, np.array([True]), case.record(think="required"))


def test_scores_tell_form_lengths_votes_and_curve(tmp_path: Path, case: Any) -> None:
    from eval.evaluate import evaluate

    scores = evaluate(tmp_path / "e", **case.arguments())
    assert scores.lengths is not None
    assert (scores.lengths.mean, scores.mean_tokens) == (3.0, 3.0)
    assert scores.format_rate == pytest.approx(1 - scores.no_answer_share)
    assert [point.k for point in scores.curve] == [1, 2, 4]
    assert scores.curve[0].estimate == scores.headline
    assert [vote.k for vote in scores.majority] == [4]
    assert scores.timeouts == 0
