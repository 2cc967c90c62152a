"""The embedded task: chains of + and - over pairs of digits in Z_m x Z_m, taught by an imperfect teacher.

The question `33-11-13?` asks for (3,3) - (1,1) - (1,3), digit by digit without carry. The expert writes one
operation for every `=`: `33-11=22-13=13#13`. The base model's habit is to jump two operations at a time. A wordy
expert also writes letters that mean nothing between two steps, and says again where it stands: `33-11=22ca22-13=13#13`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from string import ascii_lowercase

import numpy as np

from prefix_rft import keyed
from prefix_rft.data.chain_encoder import ChainEncoder
from prefix_rft.data.schema import Dataset, Demonstration, Message, Question, Split
from prefix_rft.settings.data import ChainData

_BLOCK = 256


@dataclass(frozen=True)
class Chain:
    """One question: numbers[0] operations[0] numbers[1] ...; a number is first digit * m + second digit."""

    numbers: tuple[int, ...]
    operations: str
    """One "+" or "-" for each number but the first."""


@dataclass(frozen=True)
class Slip:
    """A wrong result at one step, carried on."""

    step: int
    """Index of the step."""
    offset: int
    """Added to the step's result, modulo m * m."""


@dataclass(frozen=True)
class ChainTask:
    """The arithmetic of one modulus."""

    modulus: int

    def digits(self, value: int) -> str:
        """A number as its two digits."""
        return f"{value // self.modulus}{value % self.modulus}"

    def apply(self, value: int, operation: str, operand: int) -> int:
        """value + operand or value - operand, digit by digit in Z_m."""
        m = self.modulus
        sign = 1 if operation == "+" else -1
        return (value // m + sign * (operand // m)) % m * m + (value + sign * operand) % m

    def teacher_apply(self, value: int, operation: str, operand: int) -> int:
        """As the systematic teacher does it: taking away a unit digit m - 1 leaves one too many."""
        m = self.modulus
        result = self.apply(value, operation, operand)
        if operation == "-" and operand % m == m - 1:
            return result - result % m + (result + 1) % m
        return result

    def prompt(self, chain: Chain) -> str:
        """The question as text, e.g. `33-11-13?`."""
        tail = zip(chain.operations, chain.numbers[1:], strict=True)
        return self.digits(chain.numbers[0]) + "".join(o + self.digits(n) for o, n in tail) + "?"

    def answer(self, chain: Chain) -> str:
        """The true result as two digits."""
        value = chain.numbers[0]
        for operation, operand in zip(chain.operations, chain.numbers[1:], strict=True):
            value = self.apply(value, operation, operand)
        return self.digits(value)

    def solve(
        self,
        chain: Chain,
        steps: Sequence[int],
        *,
        systematic: bool = False,
        slips: Sequence[Slip] = (),
        fillers: Sequence[str] | None = None,
    ) -> str:
        """A worked solution, end-of-sequence token not included.

        Args:
            chain: the question.
            steps: operations done in each step; they add up to the question's operations.
            systematic: make the systematic teacher's mistake.
            slips: wrong results, at most one a step.
            fillers: written before each step but the first, each followed by the result so far.
        """
        apply = self.teacher_apply if systematic else self.apply
        offsets = {slip.step: slip.offset for slip in slips}
        value, done = chain.numbers[0], 0
        text = self.digits(value)
        for index, size in enumerate(steps):
            if fillers is not None and index:
                text += fillers[index - 1] + self.digits(value)
            for i in range(done, done + size):
                operation, operand = chain.operations[i], chain.numbers[i + 1]
                text += operation + self.digits(operand)
                value = apply(value, operation, operand)
            value = (value + offsets.get(index, 0)) % self.modulus**2
            text += "=" + self.digits(value)
            done += size
        return f"{text}#{self.digits(value)}"

    def solution(self, chain: Chain, stepwise_share: float, rng: np.random.Generator) -> str:
        """A right solution in the base's habit: a step does one operation with that probability, else two."""
        count = len(chain.operations)
        return self.solve(chain, _steps(count, (rng.random(count) >= stepwise_share).tolist()))

    def sample_question(self, rng: np.random.Generator, operations: int) -> Chain:
        """A question drawn uniformly among those with so many operations."""
        return self.sample_questions(rng, [operations])[0]

    def sample_questions(self, rng: np.random.Generator, operations: Sequence[int]) -> list[Chain]:
        """A question for each of these counts of operations, from few calls of the generator."""
        widest = max(operations)
        numbers = rng.integers(0, self.modulus**2, (len(operations), widest + 1)).tolist()
        minus = (rng.random((len(operations), widest)) < 0.5).tolist()
        return [
            Chain(tuple(row[: count + 1]), "".join("-" if sign else "+" for sign in signs[:count]))
            for count, row, signs in zip(operations, numbers, minus, strict=True)
        ]


@dataclass(frozen=True)
class Manner:
    """How a base model is taught to write; three probabilities."""

    stepwise: float
    """That a step does one operation; otherwise it jumps two."""
    guessed: float = 0.0
    """That the result of a jump is a guess; everything else is right."""
    wordy: float = 0.0
    """That a solution has the wordy expert's fillers, where there are any."""


def chain_tokens(
    settings: ChainData, operations: Sequence[int], manner: Manner, rng: np.random.Generator
) -> list[tuple[list[int], list[int]]]:
    """Fresh questions with solutions in a manner, as tokens; for training a base model.

    Args:
        settings: the task; of the teacher only its fillers count.
        operations: operations of each question wanted.
        manner: how the solutions are written.
        rng: where the draws come from.

    Returns:
        (prompt ids, response ids) for each question; the response ends in the end-of-sequence token.
    """
    task, encoder = ChainTask(settings.modulus), ChainEncoder(settings.modulus, settings.letters)
    chains = task.sample_questions(rng, operations)
    shape = len(chains), max(operations)
    jumps = (rng.random(shape) >= manner.stepwise).tolist()
    guesses = rng.integers(0, settings.modulus**2, shape)
    offsets = np.where(rng.random(shape) < manner.guessed, guesses, 0).tolist()
    wordy = (rng.random(len(chains)) < (manner.wordy if settings.fillers else 0)).tolist()
    rows = []
    for chain, jump, offset, filled in zip(chains, jumps, offsets, wordy, strict=True):
        steps = _steps(len(chain.operations), jump)
        slips = [Slip(index, offset[index]) for index, size in enumerate(steps) if size > 1]
        fillers = _fillers(settings, len(steps) - 1, rng) if filled else None
        solution = task.solve(chain, steps, slips=slips, fillers=fillers)
        rows.append((encoder.encode_text(task.prompt(chain)), encoder.encode_response(solution)))
    return rows


def load_chain(settings: ChainData) -> Dataset:
    """Questions of the embedded task; no question text stands in two splits.

    Each split has its own stream: the test questions depend on the seed and the shape of the questions alone,
    and fewer training questions are the first ones of more.
    """
    task = ChainTask(settings.modulus)
    seen: set[str] = set()
    test = _questions(task, settings, "test", settings.test_questions, seen)
    validation = _questions(task, settings, "validation", settings.validation_questions, seen)
    train = _questions(task, settings, "train", settings.train_questions, seen)
    return Dataset(train=train, validation=validation, test=test)


def _questions(
    task: ChainTask, settings: ChainData, split: Split, count: int, seen: set[str]
) -> tuple[Question, ...]:
    questions: list[Question] = []
    for chain in _stream(task, settings, split):
        prompt = task.prompt(chain)
        if prompt in seen:
            continue
        seen.add(prompt)
        name = f"chain-{split}-{len(questions)}"
        questions.append(
            Question(
                id=name,
                messages=(Message(role="user", content=prompt),),
                answer=task.answer(chain),
                demonstrations=(_teach(task, chain, settings, name),),
                split=split,
            )
        )
        if len(questions) == count:
            break
    return tuple(questions)


def _stream(task: ChainTask, settings: ChainData, split: Split) -> Iterator[Chain]:
    """Endless questions of a split; the block size is part of the stream."""
    rng = keyed.generator("chain", settings.seed, split)
    while True:
        operations = rng.integers(settings.min_operations, settings.max_operations + 1, _BLOCK).tolist()
        yield from task.sample_questions(rng, operations)


def _teach(task: ChainTask, chain: Chain, settings: ChainData, name: str) -> Demonstration:
    """The teacher's solution, one operation a step, with its mistakes and in its style."""
    count = len(chain.operations)
    styling = keyed.generator("chain", settings.seed, "fillers", name)
    text = task.solve(
        chain,
        [1] * count,
        systematic=settings.teacher == "systematic",
        slips=_slips(task, settings, name, count) if settings.teacher == "slips" else (),
        fillers=_fillers(settings, count - 1, styling) if settings.fillers else None,
    )
    return Demonstration(
        text=text, correct=text.endswith("#" + task.answer(chain)), source=f"teacher:{settings.teacher}"
    )


def _slips(task: ChainTask, settings: ChainData, name: str, steps: int) -> list[Slip]:
    rng = keyed.generator("chain", settings.seed, "teacher", name)
    if rng.random() >= settings.slip_rate:
        return []
    return [Slip(int(rng.integers(0, steps)), int(rng.integers(1, task.modulus**2)))]


def _fillers(settings: ChainData, count: int, rng: np.random.Generator) -> list[str]:
    letters = list(ascii_lowercase[: settings.letters])
    lengths = rng.integers(1, settings.fillers + 1, count).tolist()
    return ["".join(rng.choice(letters, length)) for length in lengths]


def _steps(operations: int, jumps: Sequence[bool]) -> list[int]:
    """Sizes of the steps; jumps[i] says whether step i wants to do two operations."""
    steps: list[int] = []
    done = 0
    for jump in jumps:
        if done == operations:
            break
        size = min(2 if jump else 1, operations - done)
        steps.append(size)
        done += size
    return steps
