"""Which demonstration becomes tokens, and what happens to what does not fit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from prefix_rft.data import Demonstration, Encoder, Message, Question, encode_questions, load
from prefix_rft.data.chain_encoder import ChainEncoder
from prefix_rft.errors import DataError
from prefix_rft.settings import ChainData, JsonlData


class Bytes:
    """A byte is a token, shifted by two (0 pads, 1 ends, as a zero byte does); prompts end in `ending`."""

    vocabulary_size = 258
    pad_id = 0
    eos_id = 1

    def __init__(self, ending: str = "") -> None:
        self.ending = ending

    def render(self, messages: Sequence[Message]) -> str:
        return "|".join(message.content for message in messages) + self.ending

    def encode_prompt(self, messages: Sequence[Message]) -> list[int]:
        return self._ids(self.render(messages))

    def encode_response(self, text: str) -> list[int]:
        return [*self._ids(text), self.eos_id]

    def encode_responses(self, texts: Sequence[str]) -> list[list[int]]:
        return [self.encode_response(text) for text in texts]

    def decode(self, ids: Sequence[int]) -> str:
        return bytes(index - 2 for index in ids if index > 1).decode()

    def save(self, folder: Path | str) -> None:
        raise NotImplementedError

    def _ids(self, text: str) -> list[int]:
        return [1 if byte == 0 else byte + 2 for byte in text.encode()]


def question(*demonstrations: tuple[str, bool | None], text: str = "2+2?") -> Question:
    return Question(
        id="q1",
        messages=(Message(role="user", content=text),),
        answer="4",
        demonstrations=tuple(Demonstration(text=text, correct=correct) for text, correct in demonstrations),
    )


def settings(*, prompt: int = 20, response: int = 20, skip: bool = False) -> JsonlData:
    return JsonlData(path="x", max_prompt_tokens=prompt, max_response_tokens=response, skip_bad_rows=skip)


def taught(item: Question, encoder: Encoder | None = None, budget: int = 20) -> str | None:
    coder = encoder or Bytes()
    (tokens,) = encode_questions([item], coder, settings(response=budget)).questions
    return None if tokens.demonstration is None else coder.decode(tokens.demonstration)


@pytest.mark.parametrize(
    ("demonstrations", "chosen"),
    [
        ([], None),
        ([("a", None), ("b", None)], "a"),
        ([("a", False), ("b", False)], "a"),
        ([("a", False), ("b", None), ("c", True), ("d", True)], "c"),
        ([("a" * 21, None), ("b", None)], "b"),
        ([("a" * 21, True), ("b", False), ("c", True)], "c"),
    ],
)
def test_first_correct_demonstration_that_fits_else_the_first(
    demonstrations: list[tuple[str, bool | None]], chosen: str | None
) -> None:
    assert taught(question(*demonstrations)) == chosen


def test_wrong_demonstration_does_not_stand_in_for_a_right_one_that_is_too_long() -> None:
    with pytest.raises(DataError, match="has 22 tokens"):
        taught(question(("a" * 21, True), ("b", False)))


def test_end_of_sequence_counts_towards_the_budget() -> None:
    assert taught(question(("abc", None)), budget=4) == "abc"
    with pytest.raises(DataError) as refused:
        taught(question(("abcd", None)), budget=4)
    assert str(refused.value).startswith(
        "question q1: the demonstration has 5 tokens (end-of-sequence token included), "
        "data.max_response_tokens=4."
    )
    assert "data.skip_bad_rows=true" in str(refused.value)


def test_question_without_a_fitting_demonstration_stays_without_one() -> None:
    encoded = encode_questions([question(("abcd", None))], Bytes(), settings(response=4, skip=True))
    assert [item.demonstration for item in encoded.questions] == [None]
    assert [(item.id, item.field) for item in encoded.skipped] == [("q1", "demonstration")]


def test_prompt_beyond_the_budget_is_refused_or_left_out() -> None:
    long, short = question(text="12345"), question(text="1234")
    with pytest.raises(DataError, match=r"question q1: the prompt has 5 tokens, data\.max_prompt_tokens=4\."):
        encode_questions([long], Bytes(), settings(prompt=4))
    encoded = encode_questions([long, short], Bytes(), settings(prompt=4, skip=True))
    assert [len(item.prompt) for item in encoded.questions] == [4]
    assert [item.field for item in encoded.skipped] == ["prompt"]


def test_end_of_sequence_inside_a_demonstration_is_refused() -> None:
    with pytest.raises(DataError, match="holds the end-of-sequence token at response token 3 of 5"):
        taught(question(("ab\0c", None)))


@pytest.mark.parametrize(
    ("ending", "text", "left"),
    [
        ("<think>\n", "<think>\nHm.", "Hm."),
        ("<think>\n", "Hm.", "Hm."),
        ("<think>", "<think>\nHm.", "<think>\nHm."),
        ("", "<think>\nHm.", "<think>\nHm."),
        ("<think>\n", "<think>\n<think>\n", "<think>\n"),
    ],
)
def test_opening_think_tag_is_not_said_twice(ending: str, text: str, left: str) -> None:
    assert taught(question((text, None)), Bytes(ending)) == left


def test_demonstration_of_nothing_but_the_tag_is_empty() -> None:
    with pytest.raises(DataError, match="the demonstration is empty"):
        taught(question(("<think>\n", None)), Bytes("<think>\n"))


def test_evaluation_leaves_demonstrations_alone() -> None:
    item = question(("a" * 100, None))
    encoded = encode_questions([item], Bytes(), settings(), with_demonstrations=False)
    assert encoded.questions[0].demonstration is None
    assert encoded.skipped == ()


def test_chain_questions_keep_their_order_and_fill_their_budgets() -> None:
    data = ChainData(train_questions=600)
    train = load(data).train
    done: list[int] = []
    encoded = encode_questions(train, ChainEncoder(4), data, progress=done.append)
    assert done == [256, 512, 600]
    assert [item.id for item in encoded.questions] == [item.id for item in train]
    assert {len(item.prompt) for item in encoded.questions} == {12, 15}
    assert {len(item.demonstration or ()) for item in encoded.questions} == {24, 30}
