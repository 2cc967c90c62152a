"""The main table: bold only where tests support it, reasons where numbers are missing, one protocol."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.cells import Cell, cell_of
from analysis.comparisons import SIGNIFICANCE
from analysis.layout import Entry, Table
from analysis.render import comma_separated, entry_text
from analysis.results import load_results
from analysis.tables import leader, main_table, shown_metrics
from eval.protocol import ProtocolError
from prefix_rft.errors import RunError
from prefix_rft.runs.lock import RunLock
from prefix_rft.runs.state import StateWriter


def entry(table: Table, label: str, key: str) -> Entry:
    index = [column.key for column in table.columns].index(key)
    (row,) = [row for row in table.rows if row.entries[0].value == label]
    return row.entries[index]


def shown(table: Table, label: str, key: str) -> str:
    column = next(column for column in table.columns if column.key == key)
    return entry_text(entry(table, label, key), column)


def rows_of(build, make_verdicts, rates: dict[str, list[float]]) -> list[Cell]:
    return [
        build.done(method, seed, make_verdicts(rate, method, seed))
        for method, of_seeds in rates.items()
        for seed, rate in enumerate(of_seeds)
    ]


def test_a_clear_winner_is_bold_and_nothing_else_is(build, make_verdicts):
    cells = rows_of(build, make_verdicts, {"sft": [0.3, 0.31], "rft": [0.3, 0.28], "prefix_rft": [0.8, 0.81]})
    table = main_table(load_results(build.store, cells))
    bold = {
        (row.entries[0].value, column.key)
        for row in table.rows
        for entry, column in zip(row.entries, table.columns, strict=True)
        if entry.best
    }
    assert bold == {("Prefix-RFT", "avg@4"), ("Prefix-RFT", "pass@2")}


def test_a_tie_is_not_bold_and_the_note_says_with_whom(build, make_verdicts):
    cells = rows_of(
        build, make_verdicts, {"sft": [0.2, 0.2], "sft_rft": [0.8, 0.8], "prefix_rft": [0.8, 0.8]}
    )
    results = load_results(build.store, cells)
    table = main_table(results)
    assert not any(entry.best for row in table.rows for entry in row.entries)
    first = leader(results, "avg@4").label
    other = "Prefix-RFT" if first == "SFT→RFT" else "SFT→RFT"
    (note,) = [note for note in table.notes if note.startswith("No avg@4 is bold")]
    assert f"{first} has the highest mean, but is not shown to be ahead of {other} (" in note
    assert "SFT (" not in note


def test_a_single_seed_is_never_bold(build):
    cells = [build.done("sft", 0, np.ones((30, 4), bool)), build.done("rft", 0, np.zeros((30, 4), bool))]
    table = main_table(load_results(build.store, cells))
    assert not any(entry.best for row in table.rows for entry in row.entries)
    assert any("one training seed only" in note for note in table.notes)


def test_a_row_that_shares_no_seed_with_the_best_keeps_it_from_being_bold(build):
    cells = [build.done("sft", seed, np.ones((30, 4), bool)) for seed in (0, 1)]
    cells += [build.done("rft", seed, np.zeros((30, 4), bool)) for seed in (2, 3)]
    table = main_table(load_results(build.store, cells))
    assert not entry(table, "SFT", "avg@4").best
    assert any(
        "SFT has the highest mean, but is not compared with RFT: no seed shared." in note
        for note in table.notes
    )


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rates=st.lists(st.lists(st.floats(0.2, 0.8), min_size=2, max_size=3), min_size=2, max_size=3),
    draw=st.integers(),
)
def test_bold_means_every_other_row_is_beaten_after_correction(build, make_verdicts, rates, draw):
    shutil.rmtree(build.store.root, ignore_errors=True)
    cells = [
        build.done(method, seed, make_verdicts(rate, method, seed, draw, questions=20))
        for method, of_seeds in zip(("sft", "rft", "sft_rft", "prefix_rft"), rates, strict=False)
        for seed, rate in enumerate(of_seeds)
    ]
    results = load_results(build.store, cells)
    table = main_table(results)
    best = leader(results, "avg@4")
    supported = len(best.against) == len(rates) - 1 and all(
        test.p_holm < SIGNIFICANCE and test.difference.value > 0 for test in best.against.values()
    )
    bold = [row.entries[0].value for row in table.rows if row.entries[2].best]
    assert bold == ([best.label] if supported else [])


def test_means_and_seed_counts_stand_where_they_belong(build):
    half = [[1, 1, 0, 0]] * 4
    cells = [build.done("base", 0, half), *(build.done("sft", seed, half) for seed in (0, 1))]
    table = main_table(load_results(build.store, cells))
    assert shown(table, "SFT", "seeds") == "2"
    assert shown(table, "SFT", "avg@4") == "50.0 ± 0.0"
    # pass@2 with 2 of 4 correct is 1 - C(2,2)/C(4,2) = 5/6.
    assert shown(table, "SFT", "pass@2") == "83.3 ± 0.0"
    assert (shown(table, "Base", "seeds"), shown(table, "Base", "avg@4")[-1]) == ("-", "†")
    assert shown(table, "Base", "response_tokens") == "4.0"
    assert table.notes[0].startswith(
        "Mean over training seeds ± half-width of the 95% t-interval over seeds; 4 questions "
        "of the test split."
    )
    assert table.notes[-1].startswith("Protocol avg4")


def test_the_distance_to_the_best_stands_with_its_p(build):
    right, half = [[1, 1, 1, 1]] * 40, [[1, 1, 0, 0]] * 40
    cells = [build.done("sft", seed, half) for seed in (0, 1)]
    cells += [build.done("rft", seed, right) for seed in (0, 1)]
    table = main_table(load_results(build.store, cells))
    assert (shown(table, "RFT", "to_best"), shown(table, "RFT", "p_best")) == ("best", "-")
    assert (shown(table, "SFT", "to_best"), shown(table, "SFT", "p_best")) == ("-50.0", "<0.0001")


def test_a_score_that_is_surely_behind_the_best_of_its_column_is_marked(build):
    right, half = [[1, 1, 1, 1]] * 40, [[1, 1, 0, 0]] * 40
    cells = [build.done("sft", seed, half) for seed in (0, 1)]
    cells += [build.done("rft", seed, right) for seed in (0, 1)]
    cells += [build.done("prefix_rft", seed, right) for seed in (0, 1)]
    table = main_table(load_results(build.store, cells))
    marks = {label: entry(table, label, "avg@4").mark for label in ("SFT", "RFT", "Prefix-RFT")}
    assert marks == {"SFT": "‡", "RFT": "", "Prefix-RFT": ""}
    assert "‡ behind the best of its column" in table.notes[1]


def test_many_pass_at_k_get_three_columns_the_last_among_them(build, make_verdicts):
    results = load_results(build.store, [build.done("sft", 0, make_verdicts(0.5))])
    many = ("avg@512", *(f"pass@{2**i}" for i in range(1, 10)))
    few = SimpleNamespace(metrics=many[:4], parts=("test",))
    assert shown_metrics(SimpleNamespace(metrics=many, parts=("test",))) == (
        "avg@512",
        "pass@8",
        "pass@64",
        "pass@512",
    )
    assert shown_metrics(few) == many[:4]
    assert shown_metrics(results) == ("avg@4", "pass@2")


def test_a_sweep_on_validation_says_so(build, make_verdicts):
    cells = [build.done("sft", 0, make_verdicts(0.5))]
    run = build.store.path(cells[0].run_id)
    (run / "eval" / "test").rename(run / "eval" / "validation")
    table = main_table(load_results(build.store, cells, parts={"validation": None}))
    assert "60 questions of the validation split" in table.notes[0]
    without = main_table(load_results(build.store, cells))
    assert shown(without, "SFT", "scores") == "not evaluated on test"


def test_a_table_takes_the_protocol_it_asks_for(build, make_verdicts):
    cell = build.done("sft", 0, np.ones((10, 4), bool))
    run = build.store.path(cell.run_id)
    (own,) = (run / "eval" / "test").iterdir()
    shutil.copytree(own, own.with_name("pass512-00000000"))
    with pytest.raises(ProtocolError, match="Name the one wanted"):
        load_results(build.store, [cell])
    (done,) = load_results(build.store, [cell], parts={"test": own.name}).evaluated("SFT")
    assert done.parts["test"].folder == own


def test_an_empty_row_says_why(build, make_verdicts):
    failed, queued, new = build.new("rft", 0), build.new("rft", 1), build.new("rft", 2)
    StateWriter(failed.path).attempt()
    StateWriter(failed.path).failed(ValueError("not finite"))
    StateWriter(queued.path).queued("train")
    cells = [build.done("sft", 0, make_verdicts(0.5)), *map(cell_of, (failed, queued, new))]
    table = main_table(load_results(build.store, cells))
    assert shown(table, "RFT", "avg@4") == "failed: ValueError; queued; not started"
    assert shown(table, "RFT", "seeds") == "0/3"
    assert shown(table, "RFT", "pass@2") == "-"


def test_many_that_lack_scores_alike_share_a_note(build, make_verdicts):
    cells = [build.done("sft", 0, make_verdicts(0.5))]
    cells += [cell_of(build.new(method, seed)) for method in ("rft", "luffy") for seed in (0, 1)]
    notes = main_table(load_results(build.store, cells)).notes
    assert "4 runs of RFT, LUFFY: not started; they are not in the means." in notes
    assert not any("(run " in note for note in notes)


def test_a_run_at_work_shows_its_progress_and_a_dead_one_is_lost(build, make_verdicts):
    run = build.new("rft", 0)
    cells = [build.done("sft", 0, make_verdicts(0.5)), cell_of(run)]
    with RunLock(run.path):
        StateWriter(run.path).attempt()
        StateWriter(run.path).running("train", step=40, total_steps=60)
        assert shown(main_table(load_results(build.store, cells)), "RFT", "avg@4") == "running 40/60"
    assert shown(main_table(load_results(build.store, cells)), "RFT", "avg@4") == "lost 40/60"


def test_a_row_with_a_missing_seed_shows_the_others_and_names_it(build, make_verdicts):
    failed = build.new("rft", 2)
    StateWriter(failed.path).failed(RuntimeError("out of memory"))
    cells = [*rows_of(build, make_verdicts, {"rft": [0.5, 0.6]}), cell_of(failed)]
    table = main_table(load_results(build.store, cells))
    assert shown(table, "RFT", "seeds") == "2/3"
    assert entry(table, "RFT", "avg@4").value is not None
    assert comma_separated(table).splitlines()[1].endswith(",failed: RuntimeError")
    assert f"RFT, seed 2 (run {failed.id}): failed: RuntimeError; it is not in the means." in table.notes


def test_a_run_that_was_never_made_and_one_that_was_not_evaluated(build, make_verdicts):
    trained = build.new("rft", 0)
    StateWriter(trained.path).done()
    cells = [
        build.done("sft", 0, make_verdicts(0.5)),
        cell_of(trained),
        Cell("0" * 12, "sft_rft", 0, "SFT→RFT"),
    ]
    table = main_table(load_results(build.store, cells))
    assert shown(table, "RFT", "avg@4") == "not evaluated on test"
    assert shown(table, "SFT→RFT", "avg@4") == "not started"


def test_a_table_of_nothing_but_new_runs_stands(build):
    table = main_table(load_results(build.store, [cell_of(build.new("rft", 0))]))
    assert [column.key for column in table.columns] == ["method", "seeds", "scores", "response_tokens"]
    assert shown(table, "RFT", "scores") == "not started"


def test_protocols_are_not_mixed_and_the_error_names_the_fields(build, make_verdicts):
    bits = make_verdicts(0.5)
    one, other = build.new("sft", 0), build.new("rft", 0)
    build.evaluate(one, bits)
    build.evaluate(other, bits, temperature=1.0, grader="math_verify 0.9.0")
    with pytest.raises(
        ProtocolError, match=r"(?s)temperature: 0.6 and 1.0.*grader: 'exact 1' and 'math_verify 0.9.0'"
    ):
        load_results(build.store, [cell_of(one), cell_of(other)])


def test_protocols_in_different_folders_are_not_mixed_either(build, make_verdicts):
    cells = [
        build.done("sft", 0, make_verdicts(0.5)),
        build.done(
            "rft", 0, make_verdicts(0.5), evaluation={"samples": 4, "pass_at": (1, 2), "temperature": 1.0}
        ),
    ]
    shutil.rmtree(build.store.path(cells[1].run_id) / "eval")
    build.evaluate(build.store.open(cells[1].run_id), make_verdicts(0.5), temperature=1.0)
    with pytest.raises(ProtocolError, match=r"temperature: 0\.6 and 1\.0"):
        load_results(build.store, cells)


def test_verdicts_on_other_questions_are_refused(build, make_verdicts):
    cells = [build.done("sft", 0, make_verdicts(0.5)), build.done("rft", 0, make_verdicts(0.5, questions=59))]
    with pytest.raises(ProtocolError, match="questions"):
        load_results(build.store, cells)


def test_two_runs_for_one_place_are_refused_and_a_repeated_cell_counts_once(build, make_verdicts):
    cell = build.done("sft", 0, make_verdicts(0.5))
    other = build.done("rft", 0, make_verdicts(0.5))
    with pytest.raises(RunError, match=f"{cell.run_id} and {other.run_id} both stand for SFT, seed 0"):
        load_results(build.store, [cell, Cell(other.run_id, "sft", 0, "SFT")])
    assert load_results(build.store, [cell, cell]).cells == (cell,)


@pytest.mark.parametrize(
    "damaged", ["state.json", "metrics.jsonl", "config.yaml", "scores.json", "verdicts.parquet"]
)
def test_a_damaged_run_leaves_the_others_their_table(build, make_verdicts, damaged):
    cells = rows_of(build, make_verdicts, {"sft": [0.5, 0.6], "rft": [0.3]})
    run = build.store.path(cells[-1].run_id)
    (path,) = [*run.rglob(damaged)] or [run / damaged]
    path.write_text("{\n")
    table = main_table(load_results(build.store, cells))
    assert shown(table, "RFT", "avg@4").startswith("unreadable: ")
    assert any(str(path) in note for note in table.notes if note.startswith("RFT, seed 0"))
    assert entry(table, "SFT", "avg@4").value is not None


def test_one_question_is_shown_and_not_tested(build):
    cells = [build.done(method, seed, [[1, 0, 1, 1]]) for method in ("sft", "rft") for seed in (0, 1)]
    table = main_table(load_results(build.store, cells))
    assert {shown(table, label, "to_best") for label in ("SFT", "RFT")} == {"best", "one question only"}
    assert any("is not compared with" in note and "one question only" in note for note in table.notes)
