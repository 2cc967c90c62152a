"""The embedded task: worked examples, the teachers' mistakes, and splits that share nothing."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefix_rft.data import load
from prefix_rft.data.chain import Chain, ChainTask, Manner, Slip, chain_tokens
from prefix_rft.data.chain_encoder import ChainEncoder
from prefix_rft.errors import SettingsError
from prefix_rft.settings import ChainData, parse

FOUR = ChainTask(4)
# 33 - 11 - 13 + 22: by hand 33-11=22, 22-13=13 (2-1=1, 2-3=-1=3), 13+22=31 (1+2=3, 3+2=5=1).
EXAMPLE = Chain((15, 5, 7, 10), "--+")


def test_worked_example_one_operation_a_step() -> None:
    assert FOUR.prompt(EXAMPLE) == "33-11-13+22?"
    assert FOUR.answer(EXAMPLE) == "31"
    assert FOUR.solve(EXAMPLE, [1, 1, 1]) == "33-11=22-13=13+22=31#31"


def test_worked_example_with_jumps() -> None:
    assert FOUR.solve(EXAMPLE, [2, 1]) == "33-11-13=13+22=31#31"
    assert FOUR.solve(EXAMPLE, [1, 2]) == "33-11=22-13+22=31#31"


def test_systematic_teacher_errs_where_a_unit_digit_three_is_taken_away() -> None:
    # 22-13 gives 10 instead of 13 (unit 3 becomes 3+1=0); then 10+22=32.
    assert FOUR.solve(EXAMPLE, [1, 1, 1], systematic=True) == "33-11=22-13=10+22=32#32"


def test_slip_is_carried_on() -> None:
    # The second result 13 (7) becomes 7 + 9 = 16 = 0 modulo 16; then 00+22=22.
    assert FOUR.solve(EXAMPLE, [1, 1, 1], slips=[Slip(1, 9)]) == "33-11=22-13=00+22=22#22"


def test_wordy_expert_repeats_the_result_after_its_fillers() -> None:
    # The systematic mistake of the second step (10) is what is repeated.
    assert FOUR.solve(EXAMPLE, [1, 1, 1], fillers=["ca", "b"]) == "33-11=22ca22-13=13b13+22=31#31"
    wordy = FOUR.solve(EXAMPLE, [1, 1, 1], fillers=["a", "b"], systematic=True)
    assert wordy == "33-11=22a22-13=10b10+22=32#32"


@given(st.integers(2, 10), st.data())
def test_every_way_of_stepping_reaches_the_digitwise_sum(modulus: int, data: st.DataObject) -> None:
    task = ChainTask(modulus)
    numbers = data.draw(st.lists(st.integers(0, modulus**2 - 1), min_size=2, max_size=6))
    signs = data.draw(st.text("+-", min_size=len(numbers) - 1, max_size=len(numbers) - 1))
    chain = Chain(tuple(numbers), signs)
    signed = [numbers[0], *(n if s == "+" else -n for s, n in zip(signs, numbers[1:], strict=True))]
    tens = sum((1 if n >= 0 else -1) * (abs(n) // modulus) for n in signed) % modulus
    units = sum((1 if n >= 0 else -1) * (abs(n) % modulus) for n in signed) % modulus
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    assert task.answer(chain) == f"{tens}{units}"
    assert task.solution(chain, 0.5, rng).endswith(f"={tens}{units}#{tens}{units}")


@pytest.mark.parametrize(("share", "steps"), [(1.0, 4), (0.0, 2)])
def test_stepwise_share_decides_the_number_of_steps(share: float, steps: int) -> None:
    rng = np.random.default_rng(0)
    chain = FOUR.sample_question(rng, 4)
    assert FOUR.solution(chain, share, rng).count("=") == steps


def test_chain_tokens_are_the_text_of_right_solutions() -> None:
    encoder = ChainEncoder(4)
    rows = chain_tokens(ChainData(), [1, 2, 3, 4] * 50, Manner(0.95), np.random.default_rng(0))
    steps = 0
    for count, (prompt, response) in zip([1, 2, 3, 4] * 50, rows, strict=True):
        text = encoder.decode(prompt)
        assert len(prompt) == 3 * count + 3
        assert response[-1] == encoder.eos_id
        body, _, answer = encoder.decode(response).partition("#")
        assert body.endswith("=" + answer)
        assert body.startswith(text[:2])
        steps += body.count("=")
    assert 470 <= steps <= 500, "nearly every one of the 500 operations is a step of its own"


def test_guessed_jumps_are_right_by_chance_and_single_operations_always() -> None:
    encoder, operations = ChainEncoder(4), [1, 2] * 800
    rows = chain_tokens(ChainData(), operations, Manner(0.0, guessed=1.0), np.random.default_rng(0))
    right = []
    for prompt, response in rows:
        text = encoder.decode(prompt)
        signs = "".join(character for character in text if character in "+-")
        numbers = text.replace("+", " ").replace("-", " ").rstrip("?").split()
        chain = Chain(tuple(4 * int(n[0]) + int(n[1]) for n in numbers), signs)
        right.append(encoder.decode(response).endswith("#" + FOUR.answer(chain)))
    assert all(right[0::2])
    assert np.mean(right[1::2]) == pytest.approx(1 / 16, abs=0.025)


def test_wordy_solutions_come_as_often_as_asked() -> None:
    data = ChainData(fillers=2, filler_kinds=3, max_response_tokens=42)
    encoder = ChainEncoder(4, 3)
    rows = chain_tokens(data, [3] * 1000, Manner(1.0, wordy=0.3), np.random.default_rng(0))
    texts = [encoder.decode(response) for _, response in rows]
    wordy = [text for text in texts if re.search("[abc]", text)]
    assert len(wordy) == pytest.approx(300, abs=45)
    assert not re.search("[abc]", "".join(re.sub(r"(\d\d)[abc]{1,2}\1", r"\1", text) for text in wordy))


def test_systematic_teacher_is_right_as_often_as_the_task_says() -> None:
    dataset = load(ChainData(train_questions=8000))
    right = np.mean([question.demonstrations[0].correct for question in dataset.train])
    # Of an operation's 8 kinds of unit digit and sign one goes wrong: (7/8)^3 and (7/8)^4, averaged, is .628.
    assert right == pytest.approx(0.628, abs=0.02)


def test_slipping_teacher_is_right_where_it_does_not_slip() -> None:
    dataset = load(ChainData(teacher="slips", slip_rate=0.3, train_questions=8000))
    right = np.mean([question.demonstrations[0].correct for question in dataset.train])
    assert right == pytest.approx(0.7, abs=0.02)


def test_a_perfect_teacher_never_errs() -> None:
    assert all(q.demonstrations[0].correct for q in load(ChainData(teacher="perfect")).train)


@pytest.mark.parametrize(("fillers", "kinds"), [(1, 1), (2, 4), (8, 26)])
def test_fillers_change_the_demonstrations_style_alone(fillers: int, kinds: int) -> None:
    shape = {"train_questions": 40, "validation_questions": 1, "test_questions": 1}
    terse = load(parse(ChainData, shape)).train
    longest = 30 + 3 * (fillers + 2)
    wordy = load(
        parse(
            ChainData,
            shape | {"fillers": fillers, "filler_kinds": kinds, "max_response_tokens": longest},
        )
    ).train
    encoder = ChainEncoder(4, kinds)
    for plain, other in zip(terse, wordy, strict=True):
        text = other.demonstrations[0].text
        assert (plain.text, plain.answer) == (other.text, other.answer)
        # Letters and the number after them taken out, the terse demonstration is left.
        assert re.sub(r"[a-z]+\d\d", "", text) == plain.demonstrations[0].text
        assert {len(run) for run in re.findall(r"[a-z]+", text)} <= set(range(1, fillers + 1))
        assert len(encoder.encode_response(text)) <= longest


def test_correctness_is_that_of_the_final_digits() -> None:
    for question in load(ChainData()).train:
        (demonstration,) = question.demonstrations
        assert demonstration.correct == (demonstration.text[-2:] == question.answer)


def test_splits_share_no_question() -> None:
    crowded = {"modulus": 2, "min_operations": 2, "max_operations": 3, "train_questions": 400}
    dataset = load(parse(ChainData, {**crowded, "validation_questions": 100, "test_questions": 100}))
    texts = [
        question.text for split in (dataset.train, dataset.validation, dataset.test) for question in split
    ]
    assert len(texts) == len(set(texts)) == 600
    assert dataset.train[17].id == "chain-train-17"
    assert {question.split for question in dataset.test} == {"test"}


def test_same_seed_same_questions_and_another_seed_others() -> None:
    digest = load(ChainData(seed=3)).digest
    assert load(ChainData(seed=3)).digest == digest
    assert load(ChainData(seed=4)).digest != digest


def test_teacher_and_number_of_training_questions_leave_the_test_split_alone() -> None:
    one, other = load(ChainData()), load(ChainData(teacher="slips", train_questions=64))
    assert [question.text for question in one.test] == [question.text for question in other.test]
    assert [question.text for question in one.train[:64]] == [question.text for question in other.train]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"modulus": 2, "min_operations": 1, "max_operations": 1}, "only 32"),
        ({"max_operations": 6}, "max_response_tokens >= 42"),
        ({"fillers": 2}, "max_response_tokens >= 42"),
        ({"min_operations": 5}, "exceeds max_operations=4"),
    ],
)
def test_contradictory_settings_are_refused(values: dict[str, int], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        parse(ChainData, values)
