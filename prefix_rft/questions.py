"""The questions that a run trains and is validated on, as tokens; the same on every backend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from prefix_rft import data
from prefix_rft.data.encode import EncodedQuestions, Encoder, encode_questions, load_encoder
from prefix_rft.data.schema import Question
from prefix_rft.errors import DataError
from prefix_rft.rollout import QuestionTokens
from prefix_rft.runs.state import append_event
from prefix_rft.runs.store import RunDir
from prefix_rft.settings import LocalBackend, PretrainedModel, RunConfig


@dataclass(frozen=True)
class RunQuestions:
    """What a run reads."""

    train: list[QuestionTokens]
    validation: list[QuestionTokens]
    left_out: list[str]
    """Rows and questions that are not used, and why."""

    def list_left_out(self, run: RunDir) -> None:
        """Say which: every one in the log, their number in the run's history."""
        if self.left_out:
            print("\n".join([f"{len(self.left_out)} rows or questions are left out:", *self.left_out]))
            append_event(run.path, "rows left out", count=len(self.left_out))


def load_questions(
    config: RunConfig,
    encoder: Encoder,
    reading: Callable[[int, int], None] | None = None,
    *,
    imitates: bool,
) -> RunQuestions:
    """Training questions and validation ones.

    Args:
        config: the run's settings.
        encoder: of the model that is trained.
        reading: told now and then how many training questions of how many have been read.
        imitates: all there is to do is imitate, so that questions without a demonstration are left out.

    Raises:
        DataError: no question is left, or a file cannot be used.
    """
    dataset = data.load(config.data)
    total = len(dataset.train)
    tell = None if reading is None else lambda done: reading(done, total)
    train = encode_questions(dataset.train, encoder, config.data, progress=tell)
    validation = encode_questions(dataset.validation, encoder, config.data, with_demonstrations=False)
    questions = [q for q in train.questions if not imitates or q.demonstration is not None]
    if not questions:
        raise DataError(
            "no training question has a demonstration, and this method has nothing else to learn from"
        )
    left_out = [str(item) for item in (*dataset.skipped, *train.skipped, *validation.skipped)]
    looked_at = list(validation.questions)
    if isinstance(config.backend, LocalBackend):
        # Only the embedded trainer looks at how likely they are.
        looked_at = _with_demonstrations(dataset.validation, validation, encoder, config)
    return RunQuestions(questions, looked_at, left_out)


def _with_demonstrations(
    questions: Sequence[Question], kept: EncodedQuestions, encoder: Encoder, config: RunConfig
) -> list[QuestionTokens]:
    """The validation questions with the demonstrations that fit: these are only looked at, so none is refused."""
    lenient = config.data.model_copy(update={"skip_bad_rows": True})
    encoded = encode_questions(questions, encoder, lenient).questions
    names = {question.id for question in kept.questions}
    return [question for question in encoded if question.id in names]


def load_model_encoder(config: RunConfig, source: Path | str) -> Encoder:
    """The tokenizer of a model folder (or hub name), rendering prompts as the configuration's model does."""
    model = config.model
    if isinstance(model, PretrainedModel):
        return load_encoder(source, model.template, model.revision, model.trust_remote_code)
    return load_encoder(source)
