"""Which jobs go together, and what waits for what; worked out by hand."""

from __future__ import annotations

import itertools

from slurm.arrays import After, Job, arrange, within


def job(cell, stage="train", after=None):
    return Job(cell, stage, ("-c", "pass"), after)


def arranged(jobs, live=None, most=1000):
    """(stage, cells by index, what it waits for) of every array; they are named a0, a1, a2."""
    numbers = itertools.count()
    drafts = arrange(jobs, live or {}, most, lambda stage: f"a{next(numbers)}")
    return [(draft.entry.stage, draft.entry.cells, draft.after) for draft in drafts]


def chain(cell, parent=None):
    return [job(cell, after=parent and (parent, "train")), job(cell, "evaluate", (cell, "train"))]


def test_an_evaluation_has_the_index_of_its_training():
    assert arranged([*chain("x"), *chain("y")]) == [
        ("train", {0: "x", 1: "y"}, None),
        ("evaluate", {0: "x", 1: "y"}, After("a0")),
    ]


def test_runs_on_one_base_are_an_array_that_waits_for_it():
    assert arranged([*chain("base"), *chain("x", "base"), *chain("y", "base")]) == [
        ("train", {0: "base"}, None),
        ("evaluate", {0: "base"}, After("a0")),
        ("train", {0: "x", 1: "y"}, After("a0", 0)),
        ("evaluate", {0: "x", 1: "y"}, After("a2")),
    ]


def test_what_waits_for_a_live_job_takes_its_index():
    live = {("x", "train"): ("earlier", 7), ("y", "train"): ("earlier", 3)}
    evaluations = [job("x", "evaluate", ("x", "train")), job("y", "evaluate", ("y", "train"))]
    assert arranged(evaluations, live) == [("evaluate", {7: "x", 3: "y"}, After("earlier"))]


def test_what_waits_for_something_done_waits_for_nothing():
    assert arranged([job("x", "evaluate", ("x", "train"))]) == [("evaluate", {0: "x"}, None)]


def test_parents_in_different_arrays_make_different_arrays():
    live = {("x", "train"): ("one", 0), ("y", "train"): ("two", 0)}
    evaluations = [job("x", "evaluate", ("x", "train")), job("y", "evaluate", ("y", "train"))]
    assert [after for _, _, after in arranged(evaluations, live)] == [After("one"), After("two")]


def test_two_children_of_one_job_and_one_of_another_each_wait_for_their_own():
    jobs = [job("p"), job("q"), *(job(cell, after=(cell[0], "train")) for cell in ("p1", "p2", "q1"))]
    assert arranged(jobs) == [
        ("train", {0: "p", 1: "q"}, None),
        ("train", {0: "p1", 1: "p2"}, After("a0", 0)),
        ("train", {0: "q1"}, After("a0", 1)),
    ]


def test_arrays_are_no_larger_than_the_cluster_takes_and_their_children_follow():
    found = arranged([piece for cell in "vwxyz" for piece in chain(cell)], most=2)
    assert [(stage, len(cells), after) for stage, cells, after in found] == [
        ("train", 2, None),
        ("train", 2, None),
        ("train", 1, None),
        ("evaluate", 2, After("a0")),
        ("evaluate", 2, After("a1")),
        ("evaluate", 1, After("a2")),
    ]


def test_room_is_given_to_whole_cells_whose_parents_have_it():
    jobs = [*chain("base"), *chain("x", "base"), *chain("y", "base"), *chain("late", "y")]
    taken, left = within(jobs, 5)
    assert [piece.cell for piece in taken] == ["base", "base", "x", "x"]
    assert {piece.cell for piece in left} == {"y", "late"}


def test_after_is_written_as_sbatch_reads_it():
    assert (After("t").text("12"), After("t", 3).text("12")) == ("aftercorr:12", "afterok:12_3")
