"""Contamination: what is found in questions, what in demonstrations, and how completely."""

from __future__ import annotations

from eval.benchmarks import BENCHMARKS, Loaded, Problem
from eval.contamination import Overlap, contamination
from prefix_rft.data.schema import Demonstration, Message, Question

TEN = "one two three four five six seven eight nine ten"
PROBLEMS = (
    Problem("p-0", f"Add {TEN}.", "55"),
    Problem("p-1", "Compute $2+2$.", "4"),
    Problem("p-2", "An unrelated problem about eleven green parrots and their cages, asked to nobody.", "0"),
)
LOADED = Loaded(BENCHMARKS["math500"], PROBLEMS, "0" * 16)


def asked(name: str, text: str, *demonstrations: str) -> Question:
    taught = tuple(Demonstration(text=item) for item in demonstrations)
    return Question(
        id=name, messages=(Message(role="user", content=text),), answer="1", demonstrations=taught
    )


def searched(*train: Question, run: int = 5) -> tuple[Overlap, Overlap]:
    questions, demonstrations = contamination(train, [LOADED], run=run).overlaps
    return questions, demonstrations


def test_questions_and_demonstrations_are_told_apart() -> None:
    in_questions, in_demonstrations = searched(
        asked("a", f"Please add {TEN}, now!", "55"),
        asked("b", "Else?", "Hm.", f"So we add {TEN}: that is 55."),
    )
    assert (in_questions.side, in_demonstrations.side) == ("question", "demonstration")
    (hit,) = in_questions.hits
    assert (hit.problem, hit.words, hit.training, hit.longest, hit.share, hit.texts) == (
        "p-0",
        11,
        "a",
        11,
        1.0,
        1,
    )
    assert hit.passage == f"add {TEN}"
    (hit,) = in_demonstrations.hits
    assert (hit.training, hit.share) == ("b", 1.0)
    assert in_questions.whole == in_demonstrations.whole == 1


def test_part_of_a_problem_is_found_and_is_not_the_whole() -> None:
    found, _ = searched(asked("a", "Then four five six seven eight, and so on"))
    (hit,) = found.hits
    assert (hit.longest, hit.share) == (5, 5 / 11)
    assert (found.half, found.whole) == (0, 0)
    found, _ = searched(asked("a", "Then four five six seven eight nine, and so on"))
    assert (found.half, found.whole) == (1, 0)


def test_a_shorter_run_is_not_found() -> None:
    assert searched(asked("a", "four five six seven and five six seven eight"))[0].hits == ()


def test_the_text_that_holds_most_is_named_and_all_are_counted() -> None:
    found, _ = searched(
        asked("a", "one two three four five"),
        asked("b", f"{TEN}"),
        asked("c", "six seven eight nine ten"),
    )
    (hit,) = found.hits
    assert (hit.training, hit.longest, hit.texts) == ("b", 10, 3)


def test_several_demonstrations_of_a_question_count_once() -> None:
    _, found = searched(asked("a", "?", f"{TEN}", f"{TEN}."), asked("b", "?", f"x {TEN}"))
    assert found.hits[0].texts == 2


def test_short_problems_are_found_as_a_whole_and_counted() -> None:
    found, _ = searched(asked("a", "Compute $2 - 2$."), asked("b", "Compute $2+3$."))
    assert (found.problems, found.short) == (3, 1)
    assert [(hit.problem, hit.training, hit.share) for hit in found.hits] == [("p-1", "a", 1.0)]


def test_hits_are_sorted_by_how_much_of_the_problem_is_held() -> None:
    found, _ = searched(asked("a", "Compute 2, 2: four five six seven eight"))
    assert [hit.problem for hit in found.hits] == ["p-1", "p-0"]


def test_several_benchmarks_keep_their_own_problems() -> None:
    other = Loaded(BENCHMARKS["amc"], (Problem("p-0", "Seven eight nine ten eleven twelve?", "1"),), "0" * 16)
    found = contamination([asked("a", f"{TEN}, eleven, twelve")], [LOADED, other], run=5)
    assert [(item.benchmark, item.side, len(item.hits)) for item in found.overlaps] == [
        ("math500", "question", 1),
        ("math500", "demonstration", 0),
        ("amc", "question", 1),
        ("amc", "demonstration", 0),
    ]
    assert found.overlaps[2].hits[0].longest == 6


def test_what_was_searched_is_counted_as_it_goes() -> None:
    told: list[int] = []
    found = contamination([asked("a", "?", "x", "y"), asked("b", "?")], [LOADED], progress=told.append)
    assert (found.run, found.questions, found.demonstrations) == (13, 2, 2)
    assert told == [1, 2]
    nothing = contamination([], [LOADED])
    assert (nothing.questions, [item.hits for item in nothing.overlaps]) == (0, [(), ()])
