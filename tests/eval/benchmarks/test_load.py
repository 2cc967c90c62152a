"""Copies of a benchmark: which count as the benchmark, which are refused, and how the difference is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from eval.benchmarks import BENCHMARKS, Benchmark, Problem, load
from prefix_rft.errors import DataError

FolderOf = Callable[..., Path]
Three = tuple[Problem, ...]


def test_the_published_problems_are_loaded_as_they_stand(
    toy: Benchmark, three: Three, folder_of: FolderOf
) -> None:
    loaded = load(toy, folder_of(*three))
    assert loaded.problems == three
    assert (loaded.digest, loaded.changes, loaded.checked) == (toy.digest, (), True)


def test_order_and_names_are_the_manifests(toy: Benchmark, three: Three, folder_of: FolderOf) -> None:
    one, two, other = three
    shuffled = [replace(other, id="c"), replace(one, id="17"), replace(two, id="toy-0")]
    loaded = load(toy, folder_of(*shuffled))
    assert [(item.id, item.problem) for item in loaded.problems] == [
        (item.id, item.problem) for item in three
    ]
    assert loaded.changes == ()


def test_what_else_the_file_says_is_kept(toy: Benchmark, three: Three, folder_of: FolderOf) -> None:
    rows = [{"id": item.id, "problem": item.problem, "answer": item.answer} for item in three]
    loaded = load(toy, folder_of(rows[0] | {"level": 3, "meta": {"url": "u"}}, *rows[1:]))
    assert loaded.problems[0].meta == {"level": 3, "url": "u"}


@pytest.mark.parametrize("answer", ["4", "4.0", 4, 4.0, " 4 "])
def test_a_whole_number_is_one_however_it_is_written(
    toy: Benchmark, three: Three, folder_of: FolderOf, answer: object
) -> None:
    row = {"id": "toy-2", "problem": three[2].problem, "answer": answer}
    loaded = load(toy, folder_of(*three[:2], row))
    assert loaded.problems[2].answer == "4"
    assert loaded.digest == toy.digest


def test_white_space_and_composition_do_not_count(toy: Benchmark, three: Three, folder_of: FolderOf) -> None:
    spaced = replace(three[0], problem="\n How many legs has\t$x$ spiders? ")
    loaded = load(toy, folder_of(spaced, *three[1:]))
    assert loaded.problems[0].problem == spaced.problem
    assert loaded.digest == toy.digest


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"problem": "Find $\\frac12$ of six."}, "toy-1: another problem text"),
        ({"answer": "4"}, "toy-1: another gold answer"),
        ({"problem": "find $\\frac{1}{2}$ of six."}, "toy-1: another problem text"),
    ],
)
def test_a_changed_problem_is_refused_by_name(
    toy: Benchmark, three: Three, folder_of: FolderOf, change: dict[str, str], told: str
) -> None:
    folder = folder_of(three[0], replace(three[1], **change), three[2])
    with pytest.raises(DataError, match=r"is not TOY .*3 problems of 3, 1 differences") as refused:
        load(toy, folder)
    assert f"\n  {told}\n" in str(refused.value)
    assert "allow_changed_data=true" in str(refused.value)
    loaded = load(toy, folder, allow_changed=True)
    assert loaded.changes == (told,)
    assert loaded.digest != toy.digest


def test_text_and_answer_are_told_apart(toy: Benchmark, three: Three, folder_of: FolderOf) -> None:
    changed = replace(three[1], problem="Find $1$.", answer="1")
    loaded = load(toy, folder_of(three[0], changed, three[2]), allow_changed=True)
    assert loaded.changes == ("toy-1: another problem text", "toy-1: another gold answer")


def test_missing_and_added_problems_are_listed(toy: Benchmark, three: Three, folder_of: FolderOf) -> None:
    added = Problem("extra", "Something else?", "1")
    loaded = load(toy, folder_of(three[2], added, three[0]), allow_changed=True)
    assert loaded.changes == ("toy-1: missing", "extra: not in the benchmark")
    assert [item.id for item in loaded.problems] == ["toy-0", "toy-2", "extra"]


def test_a_problem_that_stands_twice_is_not_the_benchmarks(
    toy: Benchmark, three: Three, folder_of: FolderOf
) -> None:
    loaded = load(toy, folder_of(*three, three[1], three[1]), allow_changed=True)
    assert [item.id for item in loaded.problems] == ["toy-0", "toy-1", "toy-2", "toy-1#2", "toy-1#3"]
    assert loaded.changes == ("toy-1#2: not in the benchmark", "toy-1#3: not in the benchmark")


def test_long_lists_of_differences_are_cut(toy: Benchmark, folder_of: FolderOf) -> None:
    rows = [Problem(f"n{index}", f"Question {index}?", "1") for index in range(40)]
    with pytest.raises(DataError, match=r"40 problems of 3, 43 differences\)(.|\n)*and 23 more"):
        load(toy, folder_of(*rows))


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"problem": "a", "answer": "1"}, r"row 1, field 'id': there is no such column"),
        ({"id": "a", "problem": " ", "answer": "1"}, r"row 1, field 'problem': a text is expected"),
        (
            {"id": "a", "problem": "a", "answer": None},
            r"row 1, field 'answer': a text is expected, this is None",
        ),
        ({"id": "a", "problem": "a", "answer": ["1", "2"]}, r"row 1, field 'answer': a text is expected"),
        (
            {"id": "a", "problem": "a", "answer": True},
            r"row 1, field 'answer': a text is expected, this is True",
        ),
    ],
)
def test_a_bad_row_is_refused_with_its_number(
    toy: Benchmark, folder_of: FolderOf, row: dict[str, object], told: str
) -> None:
    with pytest.raises(DataError, match=rf"toy\.jsonl, {told}"):
        load(toy, folder_of(row))


def test_a_cut_file_is_refused(toy: Benchmark, three: Three, folder_of: FolderOf) -> None:
    path = folder_of(*three) / "toy.jsonl"
    path.write_text(path.read_text()[:-20])
    with pytest.raises(DataError, match=r"row 3: not JSON"):
        load(toy, path.parent)
    path.write_text("")
    with pytest.raises(DataError, match="has no problems"):
        load(toy, path.parent)


def test_a_folder_without_the_file_says_what_it_should_hold(toy: Benchmark, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"has no toy\.jsonl, the file of TOY: .* read nobody/toy, split test, on the hub"
    ):
        load(toy, tmp_path)
    with pytest.raises(DataError, match=r"the folder .*nowhere does not exist"):
        load(toy, tmp_path / "nowhere")


def test_without_a_hash_only_the_number_of_problems_is_checked(tmp_path: Path) -> None:
    gpqa = BENCHMARKS["gpqa_diamond"]
    rows = [{"id": f"q{n}", "problem": f"Which? {n}\nA. a\nB. b", "answer": "A"} for n in range(198)]
    path = tmp_path / gpqa.file
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    loaded = load(gpqa, tmp_path)
    assert (len(loaded.problems), loaded.changes, loaded.checked) == (198, (), False)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows[1:]))
    with pytest.raises(DataError, match="197 problems instead of 198"):
        load(gpqa, tmp_path)
    assert load(gpqa, tmp_path, allow_changed=True).changes == ("197 problems instead of 198",)
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows[1:], rows[5]]))
    with pytest.raises(DataError, match="two problems have the name 'q5'"):
        load(gpqa, tmp_path)
