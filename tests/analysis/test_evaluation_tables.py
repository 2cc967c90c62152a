"""Tables of evaluations, in words and numbers that can be checked by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.evaluation_tables import comparison_table, leaderboard_csv, leaderboard_table, score_table
from analysis.leaderboard import leaderboard
from analysis.render import markdown, plain
from eval.benchmarks.registry import select
from eval.evaluated import Found, find
from eval.protocol import ProtocolError, ProtocolRecord
from eval.results import Claim, score, write_scores
from eval.rivals import compare_models
from eval.samples import SAMPLES, VERDICTS, Sample, Verdict, write_rows
from prefix_rft.errors import SettingsError

NOTHING = Found((), ())


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


def test_a_score_table_says_number_error_and_protocol(tmp_path: Path) -> None:
    evaluation(tmp_path, "model a", "aime24", HALF)
    evaluation(tmp_path, "model a", "minerva", [[1], [0]])
    text = plain(score_table(find([tmp_path]).evaluations))
    row = next(line for line in text.splitlines() if "aime24" in line)
    assert "4 x 2" in row
    assert "50.0 ±" in row
    assert "Avg of 2" in text
    assert "temperature 0.6" in text
    assert "Wilson" in text


def test_both_scores_of_minerva_are_shown(tmp_path: Path) -> None:
    folder = evaluation(tmp_path, "model a", "minerva", [[0], [0], [1], [0]])
    evaluation(tmp_path / "other", "model a", "minerva", [[1], [0], [1], [0]]).rename(folder / "scientific")
    lines = plain(score_table(find([tmp_path]).evaluations)).splitlines()
    assert "25.0" in next(line for line in lines if "minerva  " in line)
    assert "50.0" in next(line for line in lines if "minerva, scientific" in line)


def test_departures_and_unchecked_problems_stand_below_the_table(tmp_path: Path) -> None:
    evaluation(tmp_path, "model a", "arc_c", HALF, notes=("OAT's grader is not used.",), data_checked=False)
    text = plain(score_table(find([tmp_path]).evaluations))
    assert "Known departure from the protocol's source: OAT's grader is not used." in text
    assert "no hash of these is known: arc_c" in text


def test_an_average_without_parts_is_marked_by_its_source(tmp_path: Path) -> None:
    for name in ("aime24", "aime25", "amc", "math500", "minerva", "olympiad"):
        evaluation(tmp_path, "ours", name, HALF)
    board = leaderboard(
        find([tmp_path]), select("paper"), model="Qwen2.5-Math-7B", method="UFT", source="Table 1"
    )
    uft = next(line for line in board.lines if line.name == "UFT")
    assert (uft.places["Avg"].value, uft.places["Avg"].marks) == (0.442, ("p", "l?", "g?"))


def test_changed_problems_are_marked(tmp_path: Path) -> None:
    evaluation(tmp_path, "model a", "aime24", HALF, data_changes=("q001: answer changed",))
    text = plain(score_table(find([tmp_path]).evaluations))
    assert "[d]" in text
    assert "problems changed against the published set (aime24)" in text


def test_two_protocols_in_a_table_are_refused(tmp_path: Path) -> None:
    evaluation(tmp_path, "model a", "aime24", HALF)
    evaluation(tmp_path, "model b", "aime24", HALF, top_p=0.95)
    found = find([tmp_path])
    with pytest.raises(ProtocolError, match=r"top_p: 1.0 and 0.95"):
        score_table(found.evaluations)
    with pytest.raises(ProtocolError, match="top_p"):
        leaderboard(found, select("aime24"), model="Qwen2.5-Math-7B")


def test_a_comparison_says_what_it_is_over(tmp_path: Path) -> None:
    evaluation(tmp_path, "a", "aime24", np.ones((20, 2)))
    evaluation(tmp_path, "b", "aime24", np.zeros((20, 2)))
    one, other = ([find([tmp_path / name]).evaluations] for name in "ab")
    text = plain(comparison_table(compare_models(one, other), "a", "b"))
    row = next(line for line in text.splitlines() if line.startswith("aime24"))
    assert "100.0" in row
    assert "20 / 0 / 0" in row
    assert "< 0.001" in row
    assert "with one training seed" in text


def test_published_rows_stand_by_falling_average() -> None:
    board = leaderboard(NOTHING, select("paper"), model="qwen2.5-math-7b", source="2507.01679 Table 1")
    assert [line.name for line in board.lines[:3]] == ["Prefix-RFT", "LUFFY", "SFT+RFT"]
    averages = [line.places["Avg"].value for line in board.lines]
    assert averages == sorted(averages, reverse=True)
    assert averages[0] == pytest.approx(0.518)
    assert board.lines[0].places["AIME24"].metric == "avg@32"
    assert all(not place.marks for line in board.lines for place in line.places.values())
    assert "No evaluation of ours" in plain(leaderboard_table(board))


def test_ours_stand_among_them_with_what_differs_marked(tmp_path: Path) -> None:
    evaluation(tmp_path, "ours", "aime24", np.ones((30, 2)))
    board = leaderboard(
        find([tmp_path]), select("aime24,amc"), model="Qwen2.5-Math-7B", source="LUFFY", sort="aime24"
    )
    first, second = board.lines[:2]
    assert (first.name, first.source, first.places["AIME24"].value) == ("ours", "here", 1.0)
    assert first.places["AMC"].reason == "not evaluated"
    assert first.places["Avg"].reason == "1 of 2 benchmarks"
    # LUFFY: OAT's grader, and 32 samples against 2 here; AMC has nothing here to differ from.
    assert second.places["AIME24"].marks == ("g", "n")
    assert second.places["AMC"].marks == ()
    text = plain(leaderboard_table(board))
    assert "g another grader; n another number of samples" in text
    assert "30 questions" not in text


def test_a_half_of_amc_is_marked_as_another_set() -> None:
    board = leaderboard(NOTHING, select("amc"), model="Llama-3.1-8B", source="simpleRL")
    assert {line.places["AMC"].marks for line in board.lines} == {("s",)}
    assert "AMC23 the 40 of 2023" in plain(leaderboard_table(board))
    own = leaderboard(NOTHING, select("amc23"), model="Llama-3.1-8B", source="simpleRL")
    assert {line.places["AMC23"].marks for line in own.lines} == {()}


def test_an_average_that_was_not_published_is_computed_or_missing() -> None:
    board = leaderboard(NOTHING, select("aime24,aime25"), model="Qwen2.5-Math-7B", metric="pass@2048")
    averages = {line.name: line.places["Avg"] for line in board.lines}
    assert averages["Prefix-RFT"].value == pytest.approx((0.9667 + 0.7667) / 2)
    assert averages["Prefix-RFT"].marks == ("c",)
    assert averages["RFT"].reason == "1 of 2 published"


def test_an_evaluation_that_goes_on_is_not_missing_for_another_reason(tmp_path: Path) -> None:
    evaluation(tmp_path, "ours", "aime24", HALF)
    (evaluation(tmp_path, "ours", "amc", HALF) / "scores.json").unlink()
    board = leaderboard(find([tmp_path]), select("aime24,amc,math500"), model="Qwen2.5-Math-7B")
    ours = next(line for line in board.lines if line.source == "here")
    assert (ours.places["AMC"].reason, ours.places["MATH-500"].reason) == ("not finished", "not evaluated")


def test_mathematics_and_general_benchmarks_may_be_graded_differently_but_not_averaged(
    tmp_path: Path,
) -> None:
    evaluation(tmp_path, "ours", "aime24", HALF)
    evaluation(tmp_path, "ours", "arc_c", HALF, grader="lighteval 0.13.0")
    found = find([tmp_path])
    board = leaderboard(found, select("aime24,arc_c"), model="Qwen2.5-Math-7B")
    ours = next(line for line in board.lines if line.source == "here")
    assert ours.places["Avg"].reason == "graded differently"
    assert [record.grader[:5] for record in board.records] == ["math-", "light"]
    evaluation(tmp_path, "ours", "amc", HALF, grader="another")
    with pytest.raises(ProtocolError, match="grader"):
        leaderboard(find([tmp_path]), select("aime24,amc"), model="Qwen2.5-Math-7B")


def test_votes_and_passes_of_ours(tmp_path: Path) -> None:
    evaluation(tmp_path, "ours", "aime24", [[1, 1, 1, 0], [0, 0, 0, 1]])
    found = find([tmp_path])
    values = {
        metric: leaderboard(found, select("aime24"), model="Qwen2.5-Math-7B", metric=metric)
        .lines[0]
        .places["AIME24"]
        for metric in ("pass@4", "maj@4", "pass@8")
    }
    assert (values["pass@4"].value, values["maj@4"].value) == (1.0, 0.5)
    assert values["pass@8"].reason == "no pass@8 of 4 samples"


def test_minervas_second_score_has_a_column(tmp_path: Path) -> None:
    folder = evaluation(tmp_path, "ours", "minerva", [[0], [0], [1], [0]])
    evaluation(tmp_path / "other", "ours", "minerva", [[1], [0], [1], [0]]).rename(folder / "scientific")
    board = leaderboard(
        find([tmp_path]), select("minerva"), model="Qwen2.5-Math-7B", source="LUFFY", sort="Minerva"
    )
    assert board.columns == ("Minerva", "Minerva, powers of ten alike")
    ours = next(line for line in board.lines if line.source == "here")
    assert [ours.places[column].value for column in board.columns] == [0.25, 0.5]
    theirs = next(line for line in board.lines if line.source != "here")
    assert theirs.places[board.columns[1]].reason == "not published"


def test_csv_has_a_line_a_cell_with_marks_and_reasons(tmp_path: Path) -> None:
    evaluation(tmp_path, "ours", "aime24", HALF)
    board = leaderboard(
        find([tmp_path]), select("aime24"), model="Qwen2.5-Math-7B", source="2507.01679 Table 1"
    )
    lines = leaderboard_csv(board).splitlines()
    assert lines[0] == "name,model,source,column,metric,score,ci95_low,ci95_high,differs,missing"
    assert sum(line.startswith("ours,,here,AIME24,avg@2,50.0,") for line in lines) == 1
    assert any(',31.8,,,"p,l?,g?,n",' in line for line in lines)
    assert "**ours**" in markdown(leaderboard_table(board))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "gpt-2"}, "unknown model 'gpt-2'"),
        ({"metric": "f1"}, "metric=f1: choose avg"),
        ({"sort": "amc"}, "unknown column 'amc'"),
    ],
)
def test_what_is_not_known_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        leaderboard(NOTHING, select("aime24"), **{"model": "Qwen2.5-Math-7B"} | changes)
