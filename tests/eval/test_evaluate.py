"""The stage: scores by hand, kills at every point, folders that are refused."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import eval.evaluate as stage
from eval.evaluate import evaluate
from eval.protocol import ProtocolError
from eval.results import is_complete, read_scores, verdict_matrix
from eval.samples import SAMPLES, VERDICTS, read_rows, samples_path, verdicts_path
from prefix_rft.errors import DataError

FILES = ("protocol.json", "samples.parquet", "scores.json", "verdicts.parquet")


def digests(folder: Path) -> dict[str, str]:
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES}


def test_scores_are_those_of_the_rows(case: Any, tmp_path: Path) -> None:
    scores = evaluate(tmp_path, **case.arguments())
    samples = [row for rows in read_rows(samples_path(tmp_path), SAMPLES) for row in rows]
    verdicts = [row for rows in read_rows(verdicts_path(tmp_path), VERDICTS) for row in rows]
    order = [(f"q{i}", index) for i in range(5) for index in range(4)]
    assert [(row.question_id, row.sample) for row in samples] == order
    assert [(row.question_id, row.sample) for row in verdicts] == order
    right = [int(row.key) % 4 == int(row.question_id[1]) % 4 and row.key % 5 != 0 for row in samples]
    assert [row.correct for row in verdicts] == right
    assert 0 < sum(right) < 20
    assert scores.headline.value == pytest.approx(sum(right) / 20)
    assert scores.statuses == {
        "no_answer": sum(row.key % 5 == 0 for row in samples),
        "ok": sum(row.key % 5 > 0 for row in samples),
    }
    assert scores.no_answer_share == pytest.approx(scores.statuses["no_answer"] / 20)
    assert scores.truncated_share == pytest.approx(sum(row.key % 7 == 0 for row in samples) / 20)
    assert scores.mean_tokens == 3
    ids, correct_QS = verdict_matrix(tmp_path)
    assert ids == [f"q{i}" for i in range(5)]
    np.testing.assert_array_equal(correct_QS, np.array(right).reshape(5, 4))


def test_scores_json_carries_its_protocol(case: Any, tmp_path: Path) -> None:
    scores = evaluate(tmp_path, **case.arguments())
    assert read_scores(tmp_path) == scores
    plain = json.loads((tmp_path / "scores.json").read_text())
    assert plain["protocol"]["content"] == case.record().content
    assert plain["protocol_digest"] == case.record().digest
    assert list(plain["metrics"]) == ["avg@4", "pass@1", "pass@2"]
    assert plain["metrics"]["avg@4"].keys() == {"value", "se_questions", "se_samples", "ci95"}
    assert (plain["questions"], plain["samples"]) == (5, 4)


def test_progress_counts_questions(case: Any, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    evaluate(tmp_path, **case.arguments(), progress=lambda *args: told.append(args))
    assert told == [("sampling", 2, 5), ("sampling", 4, 5), ("sampling", 5, 5), ("grading", 5, 5)]


@pytest.mark.parametrize("batch", [1, 3, 4, 9, 100])
def test_the_batch_size_does_not_matter(case: Any, tmp_path: Path, batch: int) -> None:
    evaluate(tmp_path / "a", **case.arguments())
    case.sampler.batch = batch
    evaluate(tmp_path / "b", **case.arguments())
    assert digests(tmp_path / "a") == digests(tmp_path / "b")


@pytest.mark.parametrize("alive", [0, 8, 16])
def test_killed_while_sampling_it_goes_on_to_the_same_result(
    case: Any, killed: type[BaseException], tmp_path: Path, alive: int
) -> None:
    evaluate(tmp_path / "whole", **case.arguments())
    case.sampler.asked.clear()
    case.sampler.dies_after = alive
    with pytest.raises(killed):
        evaluate(tmp_path / "cut", **case.arguments())
    case.sampler.dies_after = None
    evaluate(tmp_path / "cut", **case.arguments())
    assert len(case.sampler.asked) == 20  # none of them twice
    assert digests(tmp_path / "whole") == digests(tmp_path / "cut")


def test_killed_while_sampling_it_goes_on_with_another_batch_size(
    case: Any, killed: type[BaseException], tmp_path: Path
) -> None:
    evaluate(tmp_path / "whole", **case.arguments())
    case.sampler.asked.clear()
    case.sampler.batch, case.sampler.dies_after = 3, 6
    with pytest.raises(killed):
        evaluate(tmp_path / "cut", **case.arguments())
    case.sampler.batch, case.sampler.dies_after = 8, None
    evaluate(tmp_path / "cut", **case.arguments())
    assert len(case.sampler.asked) == 20
    assert digests(tmp_path / "whole") == digests(tmp_path / "cut")


def test_killed_while_grading_it_grades_only_the_rest(
    case: Any, killed: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "GRADED_TOGETHER", 6)
    evaluate(tmp_path / "whole", **case.arguments())
    case.grader.graded, case.grader.dies_after = 0, 12
    with pytest.raises(killed):
        evaluate(tmp_path / "cut", **case.arguments())
    case.sampler.asked.clear()
    case.grader.dies_after = None
    evaluate(tmp_path / "cut", **case.arguments())
    assert case.sampler.asked == []
    assert case.grader.graded == 20
    assert digests(tmp_path / "whole") == digests(tmp_path / "cut")


def test_killed_between_the_final_file_and_tidying_up(case: Any, tmp_path: Path) -> None:
    evaluate(tmp_path, **case.arguments())
    before = digests(tmp_path)
    (tmp_path / "samples.parts").mkdir()
    (tmp_path / "samples.parts" / "part-00000.parquet").write_bytes(b"left over")
    evaluate(tmp_path, **case.arguments())
    assert digests(tmp_path) == before


def test_asking_twice_samples_and_grades_nothing(case: Any, tmp_path: Path) -> None:
    evaluate(tmp_path, **case.arguments())
    assert is_complete(tmp_path)
    case.sampler.dies_after = case.grader.dies_after = 0
    before = digests(tmp_path)
    evaluate(tmp_path, **case.arguments())
    assert digests(tmp_path) == before


def test_another_k_needs_no_new_samples(case: Any, tmp_path: Path) -> None:
    evaluate(tmp_path, **case.arguments())
    case.sampler.dies_after = case.grader.dies_after = 0
    wider = case.settings.model_copy(update={"pass_at": (1, 4)})
    assert list(evaluate(tmp_path, **case.arguments(settings=wider)).metrics) == ["avg@4", "pass@1", "pass@4"]


@pytest.mark.parametrize("name", ["samples.parquet", "verdicts.parquet"])
def test_a_damaged_file_deleted_comes_back_the_same(case: Any, tmp_path: Path, name: str) -> None:
    evaluate(tmp_path, **case.arguments())
    before = digests(tmp_path)
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=rf"{name} is damaged .*Delete that file and run again"):
        evaluate(tmp_path, **case.arguments())
    path.unlink()
    assert not is_complete(tmp_path)
    evaluate(tmp_path, **case.arguments())
    assert digests(tmp_path) == before


def test_a_file_with_fewer_rows_is_refused(cases: Callable[..., Any], tmp_path: Path) -> None:
    evaluate(tmp_path / "five", **cases(5).arguments())
    evaluate(tmp_path / "four", **cases(4).arguments())
    verdicts_path(tmp_path / "five").write_bytes(verdicts_path(tmp_path / "four").read_bytes())
    assert not is_complete(tmp_path / "five")
    with pytest.raises(DataError, match=r"verdicts\.parquet holds 16 rows, not 20"):
        evaluate(tmp_path / "five", **cases(5).arguments())


@pytest.mark.parametrize(
    ("settings", "field"),
    [({"seed": 1}, "seed"), ({"temperature": 1.0}, "temperature"), ({"samples": 3}, "samples")],
)
def test_another_protocol_needs_another_folder(
    cases: Callable[..., Any], tmp_path: Path, settings: dict[str, Any], field: str
) -> None:
    evaluate(tmp_path, **cases().arguments())
    before = digests(tmp_path)
    with pytest.raises(ProtocolError, match=rf"another measurement .*(\n.*)*{field}: "):
        evaluate(tmp_path, **cases(**settings).arguments())
    assert digests(tmp_path) == before


def test_two_checkpoints_are_never_mixed(case: Any, tmp_path: Path) -> None:
    evaluate(tmp_path, **case.arguments())
    case.sampler.subject = "run 0123456789ab step 40"
    with pytest.raises(
        ProtocolError, match="subject: 'run 0123456789ab step 60' and 'run 0123456789ab step 40'"
    ):
        evaluate(tmp_path, **case.arguments())


def test_samples_of_unknown_origin_are_refused(case: Any, tmp_path: Path) -> None:
    evaluate(tmp_path, **case.arguments())
    (tmp_path / "protocol.json").unlink()
    with pytest.raises(ProtocolError, match=r"no protocol\.json"):
        evaluate(tmp_path, **case.arguments())


def test_a_record_that_is_not_what_happens_is_refused(case: Any, tmp_path: Path) -> None:
    for changes in ({"samples": 32}, {"max_tokens": 9}, {"content": "0"}, {"sampler_version": "keyed 2"}):
        with pytest.raises(ProtocolError, match=next(iter(changes))):
            evaluate(tmp_path, **case.arguments(record=case.record(**changes)))
    assert list(tmp_path.iterdir()) == []


def test_questions_and_prompts_must_agree(case: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'q0' was encoded as 'q4'"):
        evaluate(tmp_path, **case.arguments(prompts=case.prompts[::-1]))
    with pytest.raises(DataError, match="5 questions but 4 encoded prompts"):
        evaluate(tmp_path, **case.arguments(prompts=case.prompts[:-1]))
    with pytest.raises(DataError, match="'q0' stands more than once"):
        evaluate(tmp_path, **case.arguments(questions=case.questions[:1] * 5))
    with pytest.raises(DataError, match="no question"):
        evaluate(tmp_path, **case.arguments(questions=[], prompts=[]))


def test_an_incomplete_matrix_is_refused(case: Any, tmp_path: Path) -> None:
    evaluate(tmp_path, **case.arguments())
    from eval.samples import write_rows

    rows = next(read_rows(verdicts_path(tmp_path), VERDICTS))
    write_rows(verdicts_path(tmp_path), VERDICTS, rows[1:])
    with pytest.raises(DataError, match="does not hold the same samples of every question"):
        verdict_matrix(tmp_path)


def test_reading_scores_imports_neither_torch_nor_pandas() -> None:
    code = (
        "import sys, eval.evaluate, eval.results, eval.compare, eval.sampler, eval.protocol;"
        "print([name for name in ('torch', 'pandas', 'pyarrow', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert done.stdout.strip() == "[]"
