"""The embedded trainer: rollout steps from a starting model to a last checkpoint, exactly resumable.

Everything random is keyed by what it is for, so weights, optimizer state and the step count are all there is to
save: interrupted anywhere and resumed, a run ends with the same bits on a CPU as one that never stopped.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from prefix_rft.data.encode import Encoder
from prefix_rft.errors import CheckpointError, DivergedError, SettingsError, TrainingError
from prefix_rft.grading import Grader, make_grader
from prefix_rft.local.diverged import refuse_broken_weights, refuse_to_save, unsampled
from prefix_rft.local.interleaved import Interleaved
from prefix_rft.local.optimizer import Optimizer
from prefix_rft.local.policy import Policy, load_policy
from prefix_rft.local.rollouts import Responses, make_responses
from prefix_rft.local.shown import shown_rollouts
from prefix_rft.local.update import Batching, LossRule, update
from prefix_rft.local.validation import validate
from prefix_rft.methods import Method, make_method
from prefix_rft.models import check_ready
from prefix_rft.nonfinite import Guard
from prefix_rft.order import QuestionOrder
from prefix_rft.questions import load_model_encoder, load_questions
from prefix_rft.reporting import finite, rollout_metrics
from prefix_rft.rollout import QuestionTokens, StepContext, TokenWeights
from prefix_rft.runs.checkpoint import latest_checkpoint, save_checkpoint, verify
from prefix_rft.runs.metrics import MetricsWriter
from prefix_rft.runs.rollout_samples import append_samples, truncate_samples
from prefix_rft.runs.store import RunDir
from prefix_rft.settings import LocalBackend, PretrainedModel, RlPhase, RunConfig, SftPhase, embedded
from prefix_rft.stop import InterruptedRunError, StopFlag

OPTIMIZER_FILE = "optimizer.safetensors"
INTERLEAVED_FILE = "optimizer_interleaved.safetensors"
METHOD_FILE = "method.json"
"""What the method remembers from step to step."""


class Progress(Protocol):
    """Told after every rollout step, or of other work in steps."""

    def __call__(self, step: int, total_steps: int, /) -> None:
        """`step` steps of `total_steps` are done."""


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
        self.backend = _own_backend(config)
        self.method: Method = make_method(config.method, config.data.max_response_tokens)
        self.phase: SftPhase | RlPhase = getattr(config.optimisation, self.method.phase)
        self.rule = LossRule.of(self.phase, config.data.max_response_tokens)
        source = self._source(start)
        check_ready(config, source)
        self.encoder: Encoder = load_model_encoder(config, source)
        self.policy: Policy = load_model(config, source)
        self.data = load_questions(config, self.encoder, reading, imitates=isinstance(self.phase, SftPhase))
        self.method.check_questions(self.data.train)
        self.data.list_left_out(run)
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
        except DivergedError as error:
            pad_id, questions = self.encoder.pad_id, self._questions(at)
            raise unsampled(error, self.policy, questions, at, guard=self._guard, pad_id=pad_id) from error
        except TrainingError as error:
            raise TrainingError(f"rollout step {self.step + 1}: {error}") from error
        updating = time.perf_counter()
        updated, weights = self._update(responses, at)
        values = {**self._describe(responses), **updated}
        if "skipped_nonfinite" in values:
            values = finite(values)
        self.step += 1
        seconds = {"time/step": time.perf_counter() - started, "time/update": time.perf_counter() - updating}
        seconds |= {f"time/{name}": value for name, value in responses.seconds.items()}
        self.metrics.append(
            self.step,
            "train",
            {**values, "learning_rate": rate, **seconds},
        )
        if self._is_due(self.phase.validate_every):
            self._show(responses, weights, at)
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

    @property
    def _guard(self) -> Guard:
        settings = f"optimisation.{self.method.phase}"
        return Guard(self.run.path, self.config.optimisation.on_nonfinite, settings)

    @staticmethod
    def _describe(responses: Responses) -> dict[str, float]:
        found = rollout_metrics(responses.batch, responses.finished_B, responses.statuses)
        return {"decode_steps": float(responses.decode_steps), **found}

    def _questions(self, at: StepContext) -> list[QuestionTokens]:
        return [self.data.train[i] for i in self.order.at(at.step)]

    def _update(self, responses: Responses, at: StepContext) -> tuple[dict[str, float], TokenWeights | None]:
        report = update(
            self.policy,
            self.optimizer,
            self.method,
            responses,
            self.rule,
            self._batching(),
            at,
            self._guard,
        )
        if self.interleaved is None:
            return report.metrics(), report.weights
        taken = self.method.take_interleaved(self._questions(at), responses.batch)
        return {**report.metrics(), **self.interleaved.step(taken, at)}, report.weights

    def _batching(self) -> Batching:
        return Batching(self.backend.micro_batch_tokens, self.backend.skip_zero_weight_rows)

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
            guard=replace(self._guard, settings="method", name="SFT step"),
        )

    def _show(self, responses: Responses, weights: TokenWeights | None, at: StepContext) -> None:
        """Write a few of the step's rollouts down; before its checkpoint, so that a resumed run has them once."""
        if weights is None or not self.backend.sample_rollouts:
            return
        shown = shown_rollouts(
            responses,
            weights,
            self._questions(at),
            self.encoder,
            step=self.step,
            count=self.backend.sample_rollouts,
        )
        append_samples(self.run.path, shown)

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
            micro_batch_tokens=self.backend.micro_batch_tokens,
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
        truncate_samples(self.run.path, step)
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
            refuse_to_save(self.policy, self.step)
            save_checkpoint(self.run.path, self.step, self._write, self.backend.keep_checkpoints)

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


def _own_backend(config: RunConfig) -> LocalBackend:
    if isinstance(config.backend, LocalBackend):
        return config.backend
    raise SettingsError(f"the embedded trainer runs backend.kind=local, not {config.backend.kind}")


def load_model(config: RunConfig, source: Path | str) -> Policy:
    """The model of a folder (or hub name) on the configuration's device.

    Raises:
        TrainingError: it cannot be had, or a weight is not finite.
    """
    model, backend = config.model, embedded(config.backend)
    if isinstance(model, PretrainedModel):
        policy = load_policy(source, backend, model.revision, model.trust_remote_code)
    else:
        policy = load_policy(source, backend)
    refuse_broken_weights(policy, source)
    return policy
