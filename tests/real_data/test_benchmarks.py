"""The real files: they are the published sets, every gold answer equals itself, prompts hold the whole problem."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eval.benchmarks import BENCHMARKS, GROUPS, Benchmark, load, select
from eval.benchmarks.digests import content_digest, entry, manifest, text_digest
from eval.protocol import content_digest as question_digest
from eval.protocols import PROTOCOLS, find, prompt, question
from prefix_rft.errors import DataError
from prefix_rft.grading import make_grader

HERE = [name for name, item in BENCHMARKS.items() if item.digest]


@pytest.fixture
def folder(shared_data: Path) -> Path:
    return shared_data / "eval"


@pytest.mark.parametrize("name", HERE)
def test_the_files_are_the_published_sets(folder: Path, name: str) -> None:
    benchmark = BENCHMARKS[name]
    loaded = load(benchmark, folder)
    assert len(loaded.problems) == benchmark.problems
    assert (loaded.digest, loaded.changes, loaded.checked) == (benchmark.digest, (), True)
    entries = tuple(entry(problem, benchmark.answer) for problem in loaded.problems)
    assert entries == manifest(name)
    assert content_digest(entries) == benchmark.digest


def test_amc23_is_a_part_of_amc(folder: Path) -> None:
    large, small = (
        {text_digest(problem.problem) for problem in load(BENCHMARKS[name], folder).problems}
        for name in ("amc", "amc23")
    )
    assert (len(large), len(small), len(large & small)) == (83, 40, 40)


def test_a_file_in_another_ones_place_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "amc_83.jsonl").write_bytes((folder / "amc23_40.jsonl").read_bytes())
    with pytest.raises(DataError, match=r"is not AMC .*40 problems of 83, 43 differences"):
        load(BENCHMARKS["amc"], tmp_path)


@pytest.mark.parametrize("name", ["aime24", "aime25", "amc", "amc23"])
def test_integer_answers_are_integers(folder: Path, name: str) -> None:
    answers = [problem.answer for problem in load(BENCHMARKS[name], folder).problems]
    assert all(answer == str(int(answer)) for answer in answers)
    if name.startswith("aime"):
        assert all(0 <= int(answer) <= 999 for answer in answers)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_gold_answer_is_equal_to_itself(folder: Path, protocol: str) -> None:
    pairs = [pair for item in select("paper") for pair in golds(item, folder)]
    assert len(pairs) == 1590
    with make_grader(PROTOCOLS[protocol].grading) as grader:
        grades = grader.grade(
            [(gold, f"So it is.\n</think>\n\\boxed{{{written}}}") for gold, written in pairs]
        )
    assert [pair for pair, grade in zip(pairs, grades, strict=True) if not grade.correct] == []


def golds(benchmark: Benchmark, folder: Path) -> list[tuple[str, str]]:
    """Every gold answer, and how the file writes it (AIME's with leading zeros)."""
    lines = (folder / benchmark.file).read_text(encoding="utf-8").splitlines()
    written = [str(json.loads(line)["answer"]) for line in lines]
    return list(zip([problem.answer for problem in load(benchmark, folder).problems], written, strict=True))


@pytest.mark.parametrize("name", GROUPS["paper"])
def test_prompts_hold_the_whole_problem_and_nothing_of_the_answer(folder: Path, name: str) -> None:
    problems = load(BENCHMARKS[name], folder).problems
    plain = find("plain")
    prompts = [prompt(plain, problem, None) for problem in problems]
    assert [made.id for made in prompts] == [problem.id for problem in problems]
    for made, problem in zip(prompts, problems, strict=True):
        assert made.text == problem.problem + plain.user.removeprefix("{problem}")


def test_questions_of_two_protocols_are_different_content(folder: Path) -> None:
    problems = load(BENCHMARKS["aime24"], folder).problems
    digests = {question_digest([question(find(name), item) for item in problems]) for name in PROTOCOLS}
    assert len(digests) == len(PROTOCOLS) - 1, "LUFFY and ReLIFT ask alike, and no others"
