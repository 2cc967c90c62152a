"""Multiple choice through lighteval: its prompts, our sampler and files, its verdicts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eval.benchmarks.load import load
from eval.benchmarks.registry import BENCHMARKS, select
from eval.lighteval import general
from eval.lighteval.environment import Environment
from eval.lighteval.general import LETTERS, LetterGrader, measure, place, write_documents
from eval.lighteval.run import Said
from eval.protocols.catalogue import find
from eval.results import is_complete, read_scores
from eval.suite import Asked
from prefix_rft.errors import DataError, SettingsError

NOWHERE = Environment(Path("nowhere"), "0.13.0")


@pytest.fixture
def answers_by_letter(monkeypatch):
    """In place of lighteval: the last letter of a response is its answer. Returns the pairs it was asked about."""
    asked = []

    def ask(self, pairs, place):
        asked.append(list(pairs))
        return {
            str(i): Said(
                {}, (response[-1:] == gold,), (f"{response[-1:]} | {response[-1:]}" if response else "",)
            )
            for i, (gold, response) in enumerate(pairs)
        }

    monkeypatch.setattr(LetterGrader, "_ask", ask)
    return asked


def test_distinct_pairs_are_graded_once_and_answered_in_order(answers_by_letter):
    with LetterGrader(NOWHERE, "ABCD", "after_close") as grader:
        found = grader.grade([("A", "A"), ("B", "<think>B</think> A"), ("A", "x</think>A"), ("A", "")])
    assert answers_by_letter == [[("A", "A"), ("B", "A"), ("A", "")]]
    assert [(grade.correct, grade.status, grade.extracted) for grade in found] == [
        (True, "ok", "A"),
        (False, "ok", "A"),
        (True, "ok", "A"),
        (False, "no_answer", None),
    ]
    assert LetterGrader(NOWHERE, "ABCD").grade([]) == []


def test_other_benchmarks_are_refused():
    with pytest.raises(SettingsError, match=r"AIME24 has no options to choose from\. Known: arc_c"):
        write_documents(select("aime24"), Path("out"), NOWHERE)


def test_a_missing_copy_is_named_with_the_command(tmp_path):
    with pytest.raises(DataError, match=r"hf download allenai/ai2_arc --repo-type dataset"):
        write_documents(select("arc_c"), tmp_path / "out", NOWHERE, tmp_path)


def test_letters_reach_as_far_as_the_longest_question():
    assert {name: len(letters) for name, letters in LETTERS.items()} == {
        "arc_c": 5, "gpqa_diamond": 4, "mmlu_pro": 10,
    }  # fmt: skip


def asked_of(folder: Path, name: str) -> Asked:
    loaded = load(BENCHMARKS[name], folder, allow_changed=True)
    return Asked(loaded, find("lighteval"), samples=8, max_tokens=32, seed=3)


def lines_of(asked: Asked) -> dict[str, list[str]]:
    """Half of the samples of a problem are right, in several forms."""
    forms = ("Answer: {}", "So it is this.\nAnswer: {}", "**Answer:** {}", "Thus \\boxed{{{}}}")
    lines = {}
    for problem in asked.loaded.problems:
        wrong = "B" if problem.answer == "A" else "A"
        lines[problem.id] = [form.format(letter) for letter in (problem.answer, wrong) for form in forms]
    return lines


def measured(asked, sampler, root, environment):
    return measure(asked, sampler, None, place(asked, sampler, root, environment), environment)


def test_scores_stand_where_others_do_and_name_the_grader(answers_by_letter, script, tmp_path):
    rows = [{"id": f"q{i}", "problem": f"{i}?\nA. a\nB. b", "answer": "AB"[i]} for i in range(2)]
    (tmp_path / "arc_c.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = asked_of(tmp_path, "arc_c")
    sampler = script({"q0": ["A"] * 8, "q1": ["A"] * 6 + ["B"] * 2})
    done = measured(asked, sampler, tmp_path / "out", NOWHERE)
    assert done.folder.parent == tmp_path / "out/arc_c"
    assert is_complete(done.folder)
    assert done.scores.headline.value == (1 + 0.25) / 2
    record = read_scores(done.folder).protocol
    assert record.grader == "lighteval 0.13.0, letters of options"
    assert record.data_changes == ("2 problems instead of 1172",)
    again = measured(asked, script({}), tmp_path / "out", NOWHERE)
    assert again.scores == done.scores
    assert len(answers_by_letter) == 1


@pytest.fixture(scope="module")
def documents(lighteval, hub_copies, tmp_path_factory):
    out = tmp_path_factory.mktemp("documents")
    write_documents(select("general"), out, lighteval, hub_copies)
    return out


@pytest.mark.lighteval
def test_documents_of_the_hubs_columns(documents):
    rows = {
        name: [json.loads(line) for line in (documents / BENCHMARKS[name].file).read_text().splitlines()]
        for name in LETTERS
    }
    assert [row["answer"] for row in rows["arc_c"]] == ["A", "B", "C", "D", "A", "B"]
    assert [row["meta"]["options"] for row in rows["arc_c"]] == [4, 4, 3, 4, 4, 4]
    assert "where LETTER is one of ABC." in rows["arc_c"][2]["problem"]
    assert [row["answer"] for row in rows["mmlu_pro"]] == ["I", "B", "C", "D", "E", "B"]
    assert rows["mmlu_pro"][0]["id"] == "mmlu_pro-70"
    for number, row in enumerate(rows["gpqa_diamond"]):
        assert row["id"] == f"gpqa_diamond-rec{number}"
        assert f"{row['answer']}) number {number}" in row["problem"]
    assert len({row["answer"] for row in rows["gpqa_diamond"]}) > 1, (
        "the right option stands in several places"
    )


@pytest.mark.lighteval
def test_a_second_time_the_documents_are_the_same(documents, lighteval, hub_copies, tmp_path):
    """GPQA's options too, whose order lighteval draws."""
    (again,) = write_documents(select("gpqa_diamond"), tmp_path, lighteval, hub_copies)
    assert again.read_text() == (documents / again.name).read_text()


@pytest.mark.lighteval
@pytest.mark.parametrize("name", LETTERS)
def test_any_sampler_answers_and_lighteval_judges(documents, lighteval, script, tmp_path, name):
    asked = asked_of(documents, name)
    done = measured(asked, script(lines_of(asked)), tmp_path, lighteval)
    values = {metric: estimate.value for metric, estimate in done.scores.metrics.items()}
    assert values["avg@8"] == 0.5
    assert values["pass@1"] == pytest.approx(0.5)
    assert values["pass@2"] == pytest.approx(1 - (4 * 3) / (8 * 7))
    assert done.scores.statuses == {"ok": 48}
    assert general.grader_version(lighteval) in (done.folder / "scores.json").read_text()
