"""From questions to tokens: what an encoder is, which one a folder holds, and which questions fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from prefix_rft.data.chain_encoder import ChainEncoder
from prefix_rft.data.schema import Demonstration, Message, Question
from prefix_rft.errors import DataError

if TYPE_CHECKING:
    from prefix_rft.rollout import QuestionTokens
    from prefix_rft.settings.data import DataSettings

Template = Literal["tokenizer", "plain"]
THINK = "<think>\n"
_CHUNK = 256


class Encoder(Protocol):
    """Text to token ids and back."""

    @property
    def vocabulary_size(self) -> int:
        """One more than the largest id there is."""

    @property
    def eos_id(self) -> int:
        """The token that ends every response."""

    @property
    def pad_id(self) -> int:
        """Filler; lengths, never this id, say where a row ends, so it may equal `eos_id`."""

    def render(self, messages: Sequence[Message]) -> str:
        """The question as the model reads it, up to where the response begins."""

    def encode_prompt(self, messages: Sequence[Message]) -> list[int]:
        """Ids of the rendered question."""

    def encode_response(self, text: str) -> list[int]:
        """Ids of a response, `eos_id` at the end included."""

    def encode_responses(self, texts: Sequence[str]) -> list[list[int]]:
        """As `encode_response` for several texts, faster where the tokenizer works in parallel."""

    def decode(self, ids: Sequence[int]) -> str:
        """Text of the ids, special tokens dropped."""

    def save(self, folder: Path | str) -> None:
        """Write the tokenizer's files in the Hugging Face layout."""


@dataclass(frozen=True)
class SkippedQuestion:
    """A question, or its demonstrations, left out because it does not fit the token budgets."""

    id: str
    field: Literal["prompt", "demonstration"]
    """What does not fit; a question loses only its demonstrations where it is these."""
    reason: str

    def __str__(self) -> str:
        return f"question {self.id}: {self.reason}"


@dataclass(frozen=True)
class EncodedQuestions:
    """Questions as the trainer sees them, and what had to go."""

    questions: tuple[QuestionTokens, ...]
    skipped: tuple[SkippedQuestion, ...]


def load_encoder(
    folder_or_name: Path | str,
    template: Template = "tokenizer",
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> Encoder:
    """The encoder of a model folder, or of a model on the hub.

    Args:
        folder_or_name: a folder in the Hugging Face layout, or a hub name.
        template: tokenizer: its chat template; plain: the messages' text joined by new lines. The chain
            tokenizer renders the same either way.
        revision: commit, tag or branch on the hub.
        trust_remote_code: allow code that the repository ships.

    Raises:
        DataError: no such tokenizer, no end-of-sequence token, or no chat template where one is asked for.
    """
    chain = ChainEncoder.load(folder_or_name)
    if chain is not None:
        return chain
    from prefix_rft.data.transformers_encoder import TransformersEncoder

    return TransformersEncoder.load(folder_or_name, template, revision, trust_remote_code)


def encode_questions(
    questions: Sequence[Question],
    encoder: Encoder,
    settings: DataSettings,
    *,
    with_demonstrations: bool = True,
    progress: Callable[[int], None] | None = None,
) -> EncodedQuestions:
    """Tokens of the questions, each with one demonstration where it has any.

    Which demonstration: the first one marked correct, or the first of all where none is so marked; one that
    is longer than `max_response_tokens` (end-of-sequence token included) gives way to the next of the same
    kind.

    LUFFY's rule: where the rendered prompt ends in `<think>` and a new line and the demonstration starts with
    the same eight characters, they are cut from the demonstration.

    Args:
        questions: any questions.
        encoder: text to tokens.
        settings: token budgets, and whether what does not fit is left out (`skip_bad_rows`) or refused.
        with_demonstrations: False leaves all demonstrations out, and their length unchecked, as evaluation
            does.
        progress: called with the number of questions done, every 256 questions and at the end.

    Raises:
        DataError: a prompt is longer than `max_prompt_tokens` or no demonstration of a question fits, and
            `skip_bad_rows` is off. With it on the question goes, or stays without a demonstration.
    """
    kept: list[QuestionTokens] = []
    skipped: list[SkippedQuestion] = []
    for start in range(0, len(questions), _CHUNK):
        chunk = questions[start : start + _CHUNK]
        responses = _responses(chunk, encoder, with_demonstrations)
        for question in chunk:
            tokens, problem = _encode(question, encoder, settings, responses)
            if problem is not None:
                _refuse(problem, settings)
                skipped.append(problem)
            if tokens is not None:
                kept.append(tokens)
        if progress is not None:
            progress(min(start + _CHUNK, len(questions)))
    return EncodedQuestions(tuple(kept), tuple(skipped))


def _responses(
    chunk: Sequence[Question], encoder: Encoder, with_demonstrations: bool
) -> Iterator[list[list[int]]]:
    """For each question the ids of the demonstrations that may be used, best first."""
    texts = [_texts(question, encoder) if with_demonstrations else [] for question in chunk]
    encoded = iter(encoder.encode_responses([text for group in texts for text in group]))
    return iter([[next(encoded) for _ in group] for group in texts])


def _texts(question: Question, encoder: Encoder) -> list[str]:
    correct = [demonstration for demonstration in question.demonstrations if demonstration.correct]
    candidates: Sequence[Demonstration] = correct or question.demonstrations
    opened = any(item.text.startswith(THINK) for item in candidates) and encoder.render(
        question.messages
    ).endswith(THINK)
    return [item.text.removeprefix(THINK) if opened else item.text for item in candidates]


def _encode(
    question: Question, encoder: Encoder, settings: DataSettings, responses: Iterator[list[list[int]]]
) -> tuple[QuestionTokens | None, SkippedQuestion | None]:
    """The question's tokens unless its prompt is too long, and what is wrong with it."""
    from prefix_rft.rollout import QuestionTokens

    candidates = next(responses)
    prompt = encoder.encode_prompt(question.messages)
    if len(prompt) > settings.max_prompt_tokens:
        reason = f"the prompt has {len(prompt)} tokens, data.max_prompt_tokens={settings.max_prompt_tokens}"
        return None, SkippedQuestion(question.id, "prompt", reason)
    faults = [_fault(ids, encoder.eos_id, settings.max_response_tokens) for ids in candidates]
    demonstration = next((ids for ids, fault in zip(candidates, faults, strict=True) if fault is None), None)
    problem = None
    if candidates and demonstration is None:
        problem = SkippedQuestion(question.id, "demonstration", f"the demonstration {faults[0]}")
    tokens = QuestionTokens(
        question.id, tuple(prompt), question.answer, None if demonstration is None else tuple(demonstration)
    )
    return tokens, problem


def _fault(ids: Sequence[int], eos_id: int, limit: int) -> str | None:
    """Why these tokens cannot be a response, or None."""
    if len(ids) < 2:
        return "is empty"
    if len(ids) > limit:
        return f"has {len(ids)} tokens (end-of-sequence token included), data.max_response_tokens={limit}"
    if eos_id in ids[:-1]:
        return (
            f"holds the end-of-sequence token at response token {list(ids).index(eos_id) + 1} of {len(ids)}"
        )
    return None


def _refuse(problem: SkippedQuestion, settings: DataSettings) -> None:
    if settings.skip_bad_rows:
        return
    left_out = "such questions" if problem.field == "prompt" else "such demonstrations"
    budget = "max_prompt_tokens" if problem.field == "prompt" else "max_response_tokens"
    raise DataError(
        f"{problem}. Raise data.{budget} if it is the length, mend the row, or set data.skip_bad_rows=true "
        f"to leave {left_out} out (counted and listed)."
    )
