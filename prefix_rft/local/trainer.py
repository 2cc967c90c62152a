"""The embedded trainer: rollout steps from a starting model to a last checkpoint, exactly resumable.

Everything random is keyed by what it is for, so weights, optimizer state and the step count are all there is to
save: interrupted anywhere and resumed, a run ends with the same bits on a CPU as one that never stopped.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from prefix_rft import data
from prefix_rft.data.encode import Encoder, encode_questions, load_encoder
from prefix_rft.errors import CheckpointError, DataError, TrainingError
from prefix_rft.grading import Grader, make_grader
from prefix_rft.local.interleaved import Interleaved
from prefix_rft.local.optimizer import Optimizer
from prefix_rft.local.order import QuestionOrder
from prefix_rft.local.policy import Policy, load_policy
from prefix_rft.local.rollouts import Responses, make_responses
from prefix_rft.local.stop import InterruptedRunError, StopFlag
from prefix_rft.local.update import Batching, LossRule, update
from prefix_rft.local.validation import validate
from prefix_rft.methods import Method, make_method
from prefix_rft.rollout import QuestionTokens, StepContext
from prefix_rft.runs.checkpoint import latest_checkpoint, save_checkpoint, verify
from prefix_rft.runs.metrics import MetricsWriter
from prefix_rft.runs.state import append_event
from prefix_rft.runs.store import RunDir
from prefix_rft.settings import PretrainedModel, RlPhase, RunConfig, SftPhase

OPTIMIZER_FILE = "optimizer.safetensors"
INTERLEAVED_FILE = "optimizer_interleaved.safetensors"
METHOD_FILE = "method.json"
"""What the method remembers from step to step."""


class Progress(Protocol):
    """Told after every rollout step, or of other work in steps."""

    def __call__(self, step: int, total_steps: int, /) -> None:
        """`step` steps of `total_steps` are done."""


@dataclass(frozen=True)
class _Data:
    train: list[QuestionTokens]
    validation: list[QuestionTokens]
    left_out: list[str]
    """Rows and questions that are not used, and why."""


def train(
    config: RunConfig,
    run: RunDir,
    start: Path | str,
    *,
    stop: StopFlag,
    progress: Progress,
    reading: Progress | None = None,
) -> int:
    """Train one run to its last rollout step, from its newest checkpoint or from the starting model.

    Args:
        config: the run's settings.
        run: its directory, locked by the caller.
        start: folder (or hub name) of the starting model; used where the run has no checkpoint yet.
        stop: looked at between two rollout steps.
        progress: told after every rollout step.
        reading: told before that, now and then, how many training questions have been read.

    Returns:
        The last rollout step, whose checkpoint exists.

    Raises:
        InterruptedRunError: a stop was asked for; a checkpoint of the last finished step is saved.
        CheckpointError: the newest checkpoint is damaged, of another run, or cannot be saved.
        TrainingError: the training diverged, or the device or architecture is not to be had.
    """
    with make_grader(config.data.grading) as grader:
        trainer = Trainer(config, run, start, grader, reading)
        trainer.run_steps(stop, progress)
    return trainer.total_steps


class Trainer:
    """One run's training; `train` drives it."""

    def __init__(
        self,
        config: RunConfig,
        run: RunDir,
        start: Path | str,
        grader: Grader,
        reading: Progress | None = None,
    ) -> None:
        self.config, self.run, self.grader = config, run, grader
        self.method: Method = make_method(config.method, config.data.max_response_tokens)
        self.phase: SftPhase | RlPhase = getattr(config.optimisation, self.method.phase)
        self.rule = LossRule.of(self.phase, config.data.max_response_tokens)
        source = self._source(start)
        self.encoder: Encoder = load_model_encoder(config, source)
        self.policy: Policy = load_model(config, source)
        self.data = _load_data(config, self.encoder, reading, imitates=isinstance(self.phase, SftPhase))
        self.method.check_questions(self.data.train)
        _list_left_out(run, self.data.left_out)
        self.order = self._order()
        self.total_steps = self._total_steps()
        updates = self.total_steps * self.rule.mini_batches
        self.optimizer = Optimizer(self.policy, self.phase, updates)
        self.interleaved = self._make_interleaved()
        self.metrics = MetricsWriter(run.path)
        self.step = self._resume()

    def run_steps(self, stop: StopFlag, progress: Progress) -> None:
        """Every rollout step that is still to do."""
        progress(self.step, self.total_steps)
        while self.step < self.total_steps:
            if stop:
                self._save()
                raise InterruptedRunError(f"{stop.signal} at rollout step {self.step} of {self.total_steps}")
            self._one_step()
            if self._is_due(self.phase.checkpoint_every):
                self._save()
            progress(self.step, self.total_steps)

    def _one_step(self) -> None:
        started = time.perf_counter()
        at = StepContext(self.config.seed, self.step, self.total_steps)
        rate = self.optimizer.learning_rate
        try:
            responses = self._responses(at)
        except TrainingError as error:
            raise TrainingError(f"rollout step {self.step + 1}: {error}") from error
        updating = time.perf_counter()
        values = {**_rollout_metrics(responses), **self._update(responses, at)}
        self.step += 1
        seconds = {"time/step": time.perf_counter() - started, "time/update": time.perf_counter() - updating}
        seconds |= {f"time/{name}": value for name, value in responses.seconds.items()}
        self.metrics.append(
            self.step,
            "train",
            {**values, "learning_rate": rate, **seconds},
        )
        if self._is_due(self.phase.validate_every):
            self._validate()

    def _responses(self, at: StepContext) -> Responses:
        return make_responses(
            self.policy,
            self.method,
            self._questions(at),
            at,
            encoder=self.encoder,
            grader=self.grader,
            max_response=self.config.data.max_response_tokens,
            temperature=self.rule.temperature,
        )

    def _questions(self, at: StepContext) -> list[QuestionTokens]:
        return [self.data.train[i] for i in self.order.at(at.step)]

    def _update(self, responses: Responses, at: StepContext) -> dict[str, float]:
        report = update(self.policy, self.optimizer, self.method, responses, self.rule, self._batching(), at)
        if self.interleaved is None:
            return report.metrics()
        taken = self.method.take_interleaved(self._questions(at), responses.batch)
        return {**report.metrics(), **self.interleaved.step(taken, at)}

    def _batching(self) -> Batching:
        backend = self.config.backend
        return Batching(backend.micro_batch_tokens, backend.skip_zero_weight_rows)

    def _make_interleaved(self) -> Interleaved | None:
        if self.method.interleaved is None:
            return None
        return Interleaved(
            self.policy,
            self.method.interleaved,
            self.data.train,
            self._batching(),
            beside=self.optimizer,
            max_response_tokens=self.config.data.max_response_tokens,
            pad_id=self.encoder.pad_id,
        )

    def _validate(self) -> None:
        if not self.data.validation:
            return
        values = validate(
            self.policy,
            self.data.validation,
            self.config.evaluation.validation,
            encoder=self.encoder,
            grader=self.grader,
            max_response=self.config.data.max_response_tokens,
        )
        self.metrics.append(self.step, "validation", values)

    def _is_due(self, every: int) -> bool:
        return self.step == self.total_steps or (every > 0 and self.step % every == 0)

    def _order(self) -> QuestionOrder:
        return QuestionOrder(
            self.config.seed,
            len(self.data.train),
            self.phase.questions_per_step,
            keep_partial=isinstance(self.phase, SftPhase),
        )

    def _total_steps(self) -> int:
        if isinstance(self.phase, SftPhase):
            return self.phase.epochs * self.order.steps_per_epoch
        return self.phase.steps

    def _source(self, start: Path | str) -> Path | str:
        newest = latest_checkpoint(self.run.path)
        if newest is None:
            return start
        verify(newest)
        return newest.path

    def _resume(self) -> int:
        """Steps done already; rows of metrics after them are dropped, since they will be written again."""
        newest = latest_checkpoint(self.run.path)
        step = newest.step if newest else 0
        self.metrics.truncate_after(step)
        if newest is not None:
            file = newest.path / OPTIMIZER_FILE
            if not file.exists():
                raise CheckpointError(
                    f"{file} is missing; delete {newest.path} to resume from the one before"
                )
            self.optimizer.load(file)
            if self.interleaved is not None:
                self.interleaved.load(newest.path / INTERLEAVED_FILE)
            remembered = newest.path / METHOD_FILE
            if remembered.exists() or self.method.state():
                self.method.restore(_read_state(remembered))
        return step

    def _save(self) -> None:
        if self.step:
            save_checkpoint(self.run.path, self.step, self._write, self.config.backend.keep_checkpoints)

    def _write(self, folder: Path) -> None:
        self.policy.save(folder)
        self.encoder.save(folder)
        self.optimizer.save(folder / OPTIMIZER_FILE)
        if self.interleaved is not None:
            self.interleaved.save(folder / INTERLEAVED_FILE)
        if state := self.method.state():
            (folder / METHOD_FILE).write_text(json.dumps(state) + "\n", encoding="utf-8")


def _read_state(file: Path) -> dict[str, Any]:
    """What a method remembers.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    try:
        state: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{file} cannot be read ({error}); delete {file.parent} to resume from the one before"
        ) from None
    return state


def load_model_encoder(config: RunConfig, source: Path | str) -> Encoder:
    """The tokenizer of a model folder (or hub name), rendering prompts as the configuration's model does."""
    model = config.model
    if isinstance(model, PretrainedModel):
        return load_encoder(source, model.template, model.revision, model.trust_remote_code)
    return load_encoder(source)


def load_model(config: RunConfig, source: Path | str) -> Policy:
    """The model of a folder (or hub name) on the configuration's device.

    Raises:
        TrainingError: it cannot be had, or a weight is not finite.
    """
    model = config.model
    if isinstance(model, PretrainedModel):
        policy = load_policy(source, config.backend, model.revision, model.trust_remote_code)
    else:
        policy = load_policy(source, config.backend)
    _refuse_broken_weights(policy, source)
    return policy


def _refuse_broken_weights(policy: Policy, source: Path | str) -> None:
    """Stop before such a model writes nonsense that only earns a reward of 0, and no error."""
    broken = [name for name, weight in policy.named_parameters() if not bool(weight.isfinite().all())]
    if broken:
        raise TrainingError(
            f"the model {source} holds NaN or infinite weights, in {len(broken)} of its tensors ({broken[0]} is the "
            "first). Train or download it again; of a run's own model, delete that checkpoint: the run then goes "
            "on from the one before it, or from the start"
        )


def _load_data(config: RunConfig, encoder: Encoder, reading: Progress | None, *, imitates: bool) -> _Data:
    """Training questions (only those with a demonstration where all there is to do is imitate) and validation ones."""
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
    return _Data(questions, list(validation.questions), left_out)


def _list_left_out(run: RunDir, left_out: list[str]) -> None:
    """Every one in the log, their number in the run's history."""
    if left_out:
        print("\n".join([f"{len(left_out)} rows or questions are left out:", *left_out]))
        append_event(run.path, "rows left out", count=len(left_out))


def _rollout_metrics(responses: Responses) -> dict[str, float]:
    """Rewards, lengths and prefix shares of one rollout step."""
    batch = responses.batch
    hybrid_B, complete = batch.hybrid_B, batch.prefix_length_B == batch.response_length_B
    ordinary_B, hybrid_B = ~hybrid_B, hybrid_B & ~complete
    values: dict[str, float] = {"decode_steps": float(responses.decode_steps)}
    length_B = batch.response_length_B.float()
    if bool(ordinary_B.any()):
        values["reward"] = float(batch.reward_B[ordinary_B].mean())
        values["response_length"] = float(length_B[ordinary_B].mean())
        values["truncated"] = float((~responses.finished_B[ordinary_B]).float().mean())
    if bool(hybrid_B.any()):
        prefix_B = batch.prefix_length_B[hybrid_B].float()
        values["reward_hybrid"] = float(batch.reward_B[hybrid_B].mean())
        if "reward" in values:
            values["reward_gap"] = values["reward_hybrid"] - values["reward"]
        values["response_length_hybrid"] = float(length_B[hybrid_B].mean())
        values["prefix_tokens"] = float(prefix_B.mean())
        values["prefix_share"] = float((prefix_B / length_B[hybrid_B]).mean())
    for status, count in sorted(responses.statuses.items()):
        if status not in ("ok", "no_answer"):
            values[f"grading/{status}"] = float(count)
    return values
