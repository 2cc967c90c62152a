"""The note on the embedded task follows the settings of the runs."""

from __future__ import annotations

import pytest

from analysis.design import design_note
from analysis.results import load_results

CHAIN = {"kind": "chain", "max_prompt_tokens": 16, "max_response_tokens": 32}


def test_the_note_on_the_task_follows_its_settings(build, make_verdicts):
    model = {"kind": "tiny", "habit_stepwise": 0.3}
    data = {
        "kind": "chain",
        "max_prompt_tokens": 16,
        "max_response_tokens": 32,
        "teacher": "slips",
        "slip_rate": 0.25,
    }
    cell = build.done("sft", 0, make_verdicts(0.5), model=model, data=data)
    note = design_note(load_results(build.store, [cell]))
    assert "a habit that lets it show now and then" in note
    assert "slips at random in 25% of the demonstrations" in note
    assert "systematically" not in note
    assert "ceiling" not in note
    assert "demonstrations may add nothing" in note


def test_other_data_have_no_note_on_the_task(build, make_verdicts, tmp_path):
    (tmp_path / "train.jsonl").write_text('{"id": "1", "problem": "1+1", "answer": "2", "solution": "2"}\n')
    data = {"kind": "jsonl", "path": str(tmp_path / "train.jsonl")}
    cell = build.done(
        "rft", 0, make_verdicts(0.5), data=data | {"max_response_tokens": 64}, model={"kind": "scratch"}
    )
    assert design_note(load_results(build.store, [cell])) is None


def note_of(build, make_verdicts, *changes: dict) -> str:
    cells = [build.done("sft", seed, make_verdicts(0.5), **change) for seed, change in enumerate(changes)]
    return design_note(load_results(build.store, cells))


def test_the_default_task_has_a_ceiling_for_imitation(build, make_verdicts):
    note = note_of(build, make_verdicts, {})
    assert (
        "The base model was taught the skill first and then a habit that hides it almost completely." in note
    )
    assert "Imitation has a ceiling that reward has not, and reward alone has little to start from" in note
    assert "Unlike the default task" not in note


def test_another_family_is_named(build, make_verdicts):
    llama = {"model": {"kind": "tiny", "architecture": {"family": "llama"}}}
    assert "The base model (llama architecture) was" in note_of(build, make_verdicts, llama)
    both = note_of(build, make_verdicts, {}, llama)
    assert "The 2 base models (qwen2 and llama architecture) were taught" in both


def test_every_teacher_is_named(build, make_verdicts):
    teachers = [{"data": CHAIN | {"teacher": "slips", "slip_rate": rate}} for rate in (0.6, 0.1, 0.3)]
    note = note_of(build, make_verdicts, {}, *teachers)
    assert "The rows differ in their teacher. The teacher errs systematically" in note
    assert "slips at random in 10%, 30% or 60% of the demonstrations" in note
    assert "With systematic mistakes imitation has a ceiling that reward has not; with random slips" in note


def test_a_teacher_without_mistakes_sets_no_ceiling(build, make_verdicts):
    note = note_of(build, make_verdicts, {"data": CHAIN | {"teacher": "perfect"}})
    assert "The teacher makes no mistakes. Imitation can reach everything that reward can, and" in note
    assert "ceiling" not in note


def test_a_wordy_teacher_is_told(build, make_verdicts):
    wordy = {"data": CHAIN | {"max_response_tokens": 42, "fillers": 2}}
    note = note_of(build, make_verdicts, wordy)
    assert "Between two steps the teacher writes up to 2 letters that mean nothing" in note
    assert "Unlike the default task" not in note


def test_a_harder_task_says_in_what(build, make_verdicts):
    hard = {"data": CHAIN | {"modulus": 5, "train_questions": 64}}
    assert "Unlike the default task: modulus 5." in note_of(build, make_verdicts, hard)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"skill_steps": 0}, "was never taught the skill"),
        ({"habit_steps": 0}, "taught the skill, which no habit hides"),
    ],
)
def test_an_upbringing_without_a_part_is_told_so(build, make_verdicts, model, said):
    assert said in note_of(build, make_verdicts, {"model": {"kind": "tiny"} | model})


def test_bases_of_which_some_show_the_skill(build, make_verdicts):
    note = note_of(build, make_verdicts, {}, {"model": {"kind": "tiny", "habit_stepwise": 0.3}})
    assert "hides it almost completely in some of them only" in note
    assert "reward alone has something to start from" in note
