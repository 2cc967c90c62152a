"""Many evaluations together: rows, parquet, averages, and no two protocols in one table."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from eval.evaluated import Evaluated, average_of, drawn, find, same_measure
from eval.frames import COLUMNS, frame, rows_of, write_frame
from eval.protocol import ProtocolError, ProtocolRecord
from eval.results import Claim, read_scores, score, write_scores
from eval.rivals import AVERAGE, compare_models
from eval.samples import SAMPLES, VERDICTS, Sample, Verdict, write_rows
from prefix_rft import keyed
from prefix_rft.errors import DataError


def evaluation(root: Path, subject: str, benchmark: str, correct_QS: Any, **changes: Any) -> Path:
    """A finished evaluation, written as the evaluation stage writes it."""
    bits = np.array(correct_QS, dtype=np.bool_)
    folder = root / subject / benchmark / "luffy"
    folder.mkdir(parents=True, exist_ok=True)
    fields: dict[str, Any] = {
        "name": "luffy", "split": benchmark, "questions": len(bits), "content": f"c0ffee{benchmark}",
        "samples": bits.shape[1], "temperature": 0.6, "top_p": 1.0, "max_tokens": 8192, "seed": 0,
        "template": "tokenizer", "grader": "math-verify 0.9.0 or exact string", "extraction": ("last_boxed",),
        "verdict_seconds": 5.0, "sampler": "local", "sampler_version": "test",
    }  # fmt: skip
    record = ProtocolRecord(**fields | changes)
    pairs = [(f"q{q:03d}", s) for q in range(bits.shape[0]) for s in range(bits.shape[1])]
    rows = list(zip(pairs, bits.ravel(), strict=True))
    write_rows(folder / "samples.parquet", SAMPLES, [Sample(q, s, "so 1", 10, True, 7) for q, s in pairs])
    write_rows(
        folder / "verdicts.parquet",
        VERDICTS,
        [Verdict(q, s, bool(bit), "ok", "1" if bit else "0") for (q, s), bit in rows],
    )
    claim_folder(folder, record, subject)
    write_scores(folder, score(folder, record, subject, (1,)))
    return folder


def claim_folder(folder: Path, record: ProtocolRecord, subject: str) -> None:
    text = Claim(subject=subject, protocol=record).model_dump_json()
    (folder / "protocol.json").write_text(text)


HALF = [[1, 0], [1, 0], [0, 0], [1, 1]]


def only(root: Path) -> Evaluated:
    [one] = find([root]).evaluations
    return one


def test_rows_carry_everything_that_says_how(tmp_path: Path) -> None:
    evaluation(tmp_path, "model a", "aime24", HALF, data_changes=("q001: answer changed",))
    rows = {row["metric"]: row for row in rows_of(find([tmp_path]).evaluations)}
    head = rows["avg@2"]
    assert (head["subject"], head["benchmark"], head["grading"]) == ("model a", "aime24", "protocol")
    assert (head["value"], head["questions"], head["samples"]) == (0.5, 4, 2)
    assert (head["protocol"], head["timeouts"], head["changed_data"]) == ("luffy", 0, True)
    assert head["ci95_low"] < 0.5 < head["ci95_high"]
    assert head["grader"].startswith("math-verify")
    assert rows["pass@2"]["value"] == 0.75
    assert rows["format_rate"]["value"] == 1.0
    assert rows["tokens_median"]["value"] == 10
    assert rows["tokens_median"]["ci95_low"] is None


def test_a_frame_and_a_parquet_file_hold_the_rows(tmp_path: Path) -> None:
    evaluation(tmp_path, "model a", "aime24", HALF)
    found = find([tmp_path]).evaluations
    write_frame(tmp_path / "out" / "scores.parquet", found)
    read, made = pd.read_parquet(tmp_path / "out" / "scores.parquet"), frame(found)
    assert list(read.columns) == list(made.columns) == list(COLUMNS)
    assert read["metric"].tolist() == made["metric"].tolist()
    assert read["value"].tolist() == pytest.approx(made["value"].tolist())
    assert read["changed_data"].dtype == bool


def test_no_evaluation_is_an_empty_frame(tmp_path: Path) -> None:
    assert find([tmp_path]).evaluations == ()
    write_frame(tmp_path / "scores.parquet", ())
    assert pd.read_parquet(tmp_path / "scores.parquet").columns.tolist() == list(COLUMNS)
    with pytest.raises(DataError, match="there is no folder"):
        find([tmp_path / "nowhere"])


def test_an_evaluation_without_scores_is_unfinished(tmp_path: Path) -> None:
    folder = evaluation(tmp_path, "model a", "aime24", HALF)
    (folder / "scores.json").unlink()
    found = find([tmp_path])
    assert found.evaluations == ()
    assert [(one.folder, one.claim.subject) for one in found.unfinished] == [(folder, "model a")]


def test_the_normalised_score_stands_beside_the_protocols(tmp_path: Path) -> None:
    folder = evaluation(tmp_path, "model a", "minerva", [[0], [0], [1], [0]])
    beside = evaluation(tmp_path / "other", "model a", "minerva", [[1], [0], [1], [0]])
    beside.rename(folder / "scientific")
    one = only(tmp_path)
    assert one.scientific is not None
    values = {row["grading"]: row["value"] for row in rows_of([one]) if row["metric"] == "avg@1"}
    assert values == {"protocol": 0.25, "scientific": 0.5}
    assert average_of([one]).value == 0.25


def test_another_temperature_is_refused_by_name(tmp_path: Path) -> None:
    evaluation(tmp_path, "model a", "aime24", HALF)
    evaluation(tmp_path, "model b", "aime24", HALF, temperature=1.0)
    with pytest.raises(ProtocolError, match=r"temperature: 0.6 and 1.0"):
        same_measure(find([tmp_path]).evaluations)


def test_other_problems_under_one_name_are_refused(tmp_path: Path) -> None:
    evaluation(tmp_path, "model a", "amc", HALF)
    evaluation(tmp_path, "model b", "amc", HALF, content="0ther")
    with pytest.raises(ProtocolError, match="content"):
        same_measure(find([tmp_path]).evaluations)


def test_benchmarks_may_differ_in_problems_and_samples_but_not_in_decoding(tmp_path: Path) -> None:
    evaluation(tmp_path, "model a", "aime24", HALF)
    evaluation(tmp_path, "model a", "minerva", [[1], [0]])
    same_measure(find([tmp_path]).evaluations)
    evaluation(tmp_path, "model a", "olympiad", [[1], [0]], max_tokens=100)
    with pytest.raises(ProtocolError, match="max_tokens"):
        average_of(find([tmp_path]).evaluations)


def test_the_average_weighs_benchmarks_alike(tmp_path: Path) -> None:
    evaluation(
        tmp_path, "model a", "aime24", HALF
    )  # question scores 1/2, 1/2, 0, 1: variance of the mean 1/24
    evaluation(tmp_path, "model a", "minerva", [[1], [0]])  # 1, 0: variance of the mean 1/4
    mean = average_of(find([tmp_path]).evaluations)
    assert mean.value == pytest.approx(0.5)
    assert mean.se_questions == pytest.approx(math.sqrt(1 / 24 + 1 / 4) / 2)
    assert mean.se_samples is None  # one sample of Minerva says nothing of its noise
    with pytest.raises(ValueError, match="every benchmark once"):
        average_of([*find([tmp_path]).evaluations] * 2)


def test_a_benchmark_of_one_problem_leaves_the_average_without_an_interval(tmp_path: Path) -> None:
    evaluation(tmp_path, "model a", "aime24", HALF)
    evaluation(tmp_path, "model a", "amc", [[1, 1]])
    mean = average_of(find([tmp_path]).evaluations)
    assert (mean.value, mean.se_questions, mean.ci95) == (0.75, None, None)


def test_metrics_by_name() -> None:
    assert [drawn(name, 8) for name in ("avg", "avg@8", "pass@1", "pass@8")] == [1, 1, 1, 8]
    for name in ("avg@4", "pass@9", "pass@0", "maj@4", "pass@x"):
        with pytest.raises(DataError, match="is no metric of 8 samples"):
            drawn(name, 8)


def test_scores_of_earlier_versions_are_read(tmp_path: Path) -> None:
    folder = evaluation(tmp_path, "model a", "aime24", HALF)
    younger = {"curve", "majority", "lengths", "format_rate"}
    older = read_scores(folder).model_dump(mode="json", exclude=younger)
    import json

    (folder / "scores.json").write_text(json.dumps(older))
    rows = {row["metric"]: row["value"] for row in rows_of([only(tmp_path)])}
    assert (rows["avg@2"], rows["tokens_mean"]) == (0.5, 10)
    assert "format_rate" not in rows


def models(root: Path, name: str, rates: dict[str, float], seeds: int = 1) -> list[list[Evaluated]]:
    """A model of several training seeds, on benchmarks that it solves at these rates."""
    for seed in range(seeds):
        for benchmark, rate in rates.items():
            difficulty_Q1 = keyed.generator("difficulty", benchmark).uniform(-0.2, 0.2, (40, 1))
            solved_QS = keyed.generator(name, benchmark, seed).random((40, 8)) < rate + difficulty_Q1
            evaluation(root / name, str(seed), benchmark, solved_QS)
    return [list(find([root / name / str(seed)]).evaluations) for seed in range(seeds)]


def test_a_better_model_is_found_on_benchmarks_and_average(tmp_path: Path) -> None:
    better = models(tmp_path, "better", {"aime24": 0.6, "amc": 0.7, "aime25": 0.5}, seeds=3)
    worse = models(tmp_path, "worse", {"aime24": 0.3, "amc": 0.4}, seeds=3)
    found = compare_models(better, worse)
    assert [one.benchmark for one in found] == ["aime24", "amc", AVERAGE]
    values = [one.difference.value for one in found]
    assert values[2] == pytest.approx((values[0] + values[1]) / 2)
    assert all(one.p_holm >= one.difference.p_value for one in found)
    assert found[2].p_holm < 0.05
    assert found[2].signs is None
    assert found[0].signs is not None
    assert found[0].signs.wins > 30
    assert found[0].difference.seeds == 3


def test_models_without_a_common_benchmark_are_not_compared(tmp_path: Path) -> None:
    one, other = models(tmp_path, "a", {"aime24": 0.5}), models(tmp_path, "b", {"amc": 0.5})
    with pytest.raises(DataError, match="share no benchmark: aime24 and amc"):
        compare_models(one, other)


def test_one_benchmark_has_no_average_row(tmp_path: Path) -> None:
    one, other = models(tmp_path, "a", {"aime24": 0.5}), models(tmp_path, "b", {"aime24": 0.5})
    [found] = compare_models(one, other, metric="pass@4")
    assert found.benchmark == "aime24"
    assert found.p_holm == found.difference.p_value
