"""Numbers of one row, worked out by hand."""

from __future__ import annotations

import math

import pytest

from analysis.results import load_results
from analysis.summary import of_length, of_metric, question_error, satterthwaite, seed_half_width

ALL_RIGHT = [[1, 1, 1, 1]] * 2
HALF_RIGHT = [[1, 1, 1, 1], [0, 0, 0, 0]]


def test_interval_over_three_seeds_is_student_t_with_two_degrees_of_freedom():
    # Standard deviation 1, three values: 4.302653 / sqrt(3).
    assert seed_half_width([1.0, 2.0, 3.0]) == pytest.approx(2.484138, rel=1e-6)


def test_one_seed_tells_nothing_about_other_seeds():
    assert seed_half_width([0.5]) is None


def test_mean_is_over_seeds_and_length_over_responses(build):
    cells = [build.done("sft", 0, ALL_RIGHT), build.done("sft", 1, HALF_RIGHT)]
    done = load_results(build.store, cells).evaluated("SFT")
    accuracy = of_metric(done, "avg@4")
    assert (accuracy.mean, accuracy.interval, accuracy.runs) == (0.75, "seeds", 2)
    # Standard deviation of 1 and 0.5 is 0.353553, over sqrt(2) it is 0.25; t with 1 degree is 12.7062.
    assert accuracy.half_width == pytest.approx(12.7062 * 0.25, rel=1e-5)
    assert (of_length(done).mean, of_length(done).half_width) == (4.0, 0.0)


def test_question_error_averages_the_seeds_first(build):
    cells = [build.done("sft", 0, ALL_RIGHT), build.done("sft", 1, HALF_RIGHT)]
    done = load_results(build.store, cells).evaluated("SFT")
    # The two questions score 1 and 0.5: standard deviation 0.353553 over sqrt(2).
    assert question_error(done, "avg@4") == pytest.approx(0.25)


def test_a_single_run_takes_the_interval_over_questions_of_its_scores(build, make_verdicts):
    cell = build.done("base", 0, make_verdicts(0.5, "base"))
    done = load_results(build.store, [cell]).evaluated("Base")
    low, high = done[0].parts["test"].scores.metrics["avg@4"].ci95
    of = of_metric(done, "avg@4")
    assert (of.interval, of.half_width) == ("questions", (high - low) / 2)


@pytest.mark.parametrize("metric", ["avg@4", "pass@1", "pass@2"])
def test_scores_recomputed_from_verdicts_are_the_stored_ones(build, make_verdicts, metric):
    cell = build.done("rft", 0, make_verdicts(0.3, "rft"))
    (done,) = load_results(build.store, [cell]).evaluated("RFT")
    stored = done.parts["test"].scores.metrics[metric]
    assert done.mean(metric) == pytest.approx(stored.value, abs=1e-12)


def test_degrees_of_freedom_add_up_for_equal_variances_and_follow_the_largest():
    assert satterthwaite([1.0, 1.0], [4, 4]) == 8
    assert satterthwaite([1.0, 0.0], [4, 2]) == 4
    # (1 + 3)^2 / (1/2 + 9/4)
    assert satterthwaite([1.0, 3.0], [2, 4]) == pytest.approx(16 / 2.75)
    assert math.isinf(satterthwaite([0.0, 0.0], [2, 2]))
