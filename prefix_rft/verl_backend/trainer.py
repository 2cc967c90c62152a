"""verl's synchronous trainer, driven by a method: our questions, our rewards, our weights, our run directory.

What a method says is carried out by the same code as on the local backend (`prefix_rft.methods`, `objective`); verl
samples, scores, computes gradients, takes optimizer steps and hands the weights to the inference engine.

Axes: B rows (responses) of a rollout step, T response tokens.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import ray
import transfer_queue as tq
from omegaconf import DictConfig
from tensordict import TensorDict
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils.debug import marked_timer
from verl.utils.skip import SkipManager

from prefix_rft.errors import TrainingError
from prefix_rft.order import QuestionOrder
from prefix_rft.reporting import rollout_metrics
from prefix_rft.rollout import QuestionTokens, StepContext
from prefix_rft.stop import InterruptedRunError
from prefix_rft.validation import report
from prefix_rft.verl_backend import checkpoints
from prefix_rft.verl_backend.asking import asking, key
from prefix_rft.verl_backend.columns import answers, put_columns
from prefix_rft.verl_backend.interleaved import Interleaved
from prefix_rft.verl_backend.job import Job
from prefix_rft.verl_backend.rows import AskedRow, GradedRows, asked_rows, graded_rows
from prefix_rft.verl_backend.second_optimizer import TwoOptimizersWorker
from prefix_rft.verl_backend.task import rollout_task, validation_task
from prefix_rft.verl_backend.update import Update

_POLL_SECONDS = 0.2
"""Between two looks whether all responses are there; verl's own 2 s would be most of a short step."""


class MethodTrainer(PPOTrainerSync):  # type: ignore[misc]
    """One run's training; `global_steps` counts rollout steps as verl does, the current one included."""

    def __init__(self, config: DictConfig, job: Job) -> None:
        super().__init__(config)
        self.job = job
        self.replay_buffer.poll_interval = _POLL_SECONDS
        self.measured: dict[str, float] = {}
        """The current rollout step's values for metrics.jsonl."""
        self.asked: list[AskedRow] = []
        """The current rollout step's responses, in the order of the methods."""

    # What verl calls while it starts.

    def _setup(self) -> None:
        super()._setup()
        self.actor_rollout_wg.set_loss_fn(self.job.loss())

    def get_reward_handles(self) -> None:
        """None: responses are graded here, all at once, by our pool."""
        return

    def _init_resource_pool_mgr(self) -> None:
        super()._init_resource_pool_mgr()
        if self.job.method.interleaved is not None:
            workers = ray.remote(TwoOptimizersWorker)
            self.role_worker_mapping.update(dict.fromkeys(self.role_worker_mapping, workers))

    def _load_checkpoint(self) -> None:
        if self.interleaved is not None:
            self.interleaved.begin()
        self.global_steps = checkpoints.load(self.job, self.actor_rollout_wg)
        self.job.metrics.truncate_after(self.global_steps)

    # The run.

    def fit(self, agent_loop_manager: Any) -> None:
        """Every rollout step that is still to do.

        Raises:
            InterruptedRunError: a stop was asked for; a checkpoint of the last finished step is saved.
            TrainingError: the training diverged, or responses could not be made.
        """
        self.agent_loop_manager = agent_loop_manager
        SkipManager.init(self.config)
        self.prev_step_profile = self.curr_step_profile = self.next_step_profile = False
        stop, total = self.job.stop, self.total_training_steps
        self.job.progress(self.global_steps, total)
        while self.global_steps < total:
            if stop:
                self._save_checkpoint()
                raise InterruptedRunError(f"{stop.signal} at rollout step {self.global_steps} of {total}")
            self._one_step()
            if self._is_due(self.job.phase.checkpoint_every):
                self._save_checkpoint()
            self.job.progress(self.global_steps, total)

    def _one_step(self) -> None:
        started = time.perf_counter()
        self.global_steps += 1
        self.measured = {}
        self.timing_raw: dict[str, float] = {}
        theirs: dict[str, Any] = {}
        with marked_timer("step", self.timing_raw):
            batch = self.step(theirs, self.timing_raw)
            self.on_step_end()
        self._compute_metrics(batch, theirs, self.timing_raw, self.global_steps, epoch=0)
        tq.kv_clear(keys=batch.keys, partition_id=batch.partition_id)
        self.measured["time/step"] = time.perf_counter() - started
        numbers = {f"verl/{name}": float(value) for name, value in theirs.items() if _is_number(value)}
        self.job.metrics.append(self.global_steps, "train", {**self.measured, **numbers})
        if self._is_due(self.job.phase.validate_every) and self.validation:
            self.job.metrics.append(self.global_steps, "validation", self._validate())

    def _is_due(self, every: int) -> bool:
        return self.global_steps == self.total_training_steps or (
            every > 0 and self.global_steps % every == 0
        )

    def _save_checkpoint(self) -> None:
        if self.global_steps:
            checkpoints.save(self.job, self.global_steps, self.actor_rollout_wg)

    # One rollout step.

    @property
    def _at(self) -> StepContext:
        return StepContext(self.job.config.seed, self.global_steps - 1, self.total_training_steps)

    @cached_property
    def _order(self) -> QuestionOrder:
        return self.job.order(len(self.train_dataset))

    @cached_property
    def interleaved(self) -> Interleaved | None:
        """SFT steps between rollout steps, where the method takes any."""
        phase, data = self.job.method.interleaved, self.job.config.data
        if phase is None:
            return None
        return Interleaved(phase, self.actor_rollout_wg, data.max_response_tokens, self.job.encoder.eos_id)

    def _imitate(self, graded: GradedRows) -> dict[str, float]:
        """The SFT step that the method asks for now, if it does."""
        if self.interleaved is None:
            return {}
        questions = [self.train_dataset.questions[i] for i in self._order.at(self._at.step)]
        wanted = set(taken := self.job.method.take_interleaved(questions, graded.batch))
        found = {q.id: q for q in self.train_dataset.questions if q.id in wanted}
        return self.interleaved.step([found[name] for name in taken], self._at)

    @property
    def validation(self) -> list[QuestionTokens]:
        """The questions looked at between steps; none where the run has none."""
        if not self.job.has_validation:
            return []
        questions: list[QuestionTokens] = self.val_dataset.questions
        return questions[: self.job.config.evaluation.validation.questions]

    def _next_train_batch(self, num_prompts: int | None = None) -> TensorDict:
        """The questions that our order names, each with the responses that the method asks for."""
        at = self._at
        questions = [self.train_dataset.questions[i] for i in self._order.at(at.step)]
        self.asked = asked_rows(self.job.method, questions, at)
        requests: list[list[Any]] = [[] for _ in questions]
        for row in self.asked:
            requests[row.question].append(row.request)
        tasks = [rollout_task(q, asked, at) for q, asked in zip(questions, requests, strict=True)]
        return asking(tasks, "q", self.global_steps)

    def _step_once(
        self, metrics: dict[str, Any], timing_raw: dict[str, float], sample_batch_size: int
    ) -> KVBatchMeta:
        """Collect, grade, score, weigh, update."""
        started = time.perf_counter()
        with marked_timer("gen", timing_raw):
            batch = self._made("train", questions=1 + max(row.question for row in self.asked))
            self.on_sample_end()
        generated = time.perf_counter()
        graded = self._grade(batch)
        updating = time.perf_counter()
        self.measured["learning_rate"] = self.job.learning_rate(
            self.global_steps - 1, self.total_training_steps
        )
        batch = self._update(batch, graded, metrics, timing_raw)
        self.measured |= self._imitate(graded)
        self.measured |= {
            "time/generate": generated - started,
            "time/grade": updating - generated,
            "time/update": time.perf_counter() - updating,
        }
        return batch

    @property
    def _keys(self) -> list[str]:
        """Under which verl's queue holds the asked responses."""
        return [key("q", row.question, row.session) for row in self.asked]

    def _made(self, partition: str, questions: int) -> KVBatchMeta:
        """Wait until the agent loops are done with all questions; what they have made."""
        try:
            batch, _ = self.replay_buffer.sample(
                global_steps=self.global_steps, partition_id=partition, batch_size=questions
            )
        except RuntimeError as error:
            raise TrainingError(
                f"rollout step {self.global_steps}: no response was made at all ({error}); the agent loop's error "
                "stands above in the log"
            ) from error
        return batch

    def _grade(self, batch: KVBatchMeta) -> GradedRows:
        """Rewards of all responses, in our order."""
        keys = self._keys
        self._refuse_missing(keys, batch)
        graded = graded_rows(
            self.asked,
            answers(keys, batch.partition_id),
            encoder=self.job.encoder,
            grader=self.job.grader,
            max_response=self.job.config.data.max_response_tokens,
        )
        put_columns(keys, batch.partition_id, {"rm_scores": graded.rewards()})
        self.measured |= rollout_metrics(graded.batch, graded.finished_B, graded.statuses)
        return graded

    def _refuse_missing(self, keys: Sequence[str], batch: KVBatchMeta) -> None:
        there = set(batch.keys)
        missing = [row for name, row in zip(keys, self.asked, strict=True) if name not in there]
        if missing:
            raise TrainingError(
                f"rollout step {self.global_steps}: {len(missing)} of {len(keys)} responses were not made, the first "
                f"for question {missing[0].tokens.id!r}; the agent loop's error stands above in the log"
            )

    def _update(
        self, batch: KVBatchMeta, graded: GradedRows, metrics: dict[str, Any], timing_raw: dict[str, float]
    ) -> KVBatchMeta:
        named = [row.tokens.id for row in self.asked]
        update = Update(self.job, self.actor_rollout_wg, self._keys, graded.batch, self._at, named)
        with marked_timer("update_actor", timing_raw):
            rows, report = update.run(batch, lambda rows: self._compute_old_log_prob(rows, metrics))
        metrics.update(update.theirs)
        self.measured |= report.metrics()
        return rows

    # Validation.

    def _validate(self) -> dict[str, float]:
        """Mean correctness and length of a few samples a question, without prefixes."""
        settings = self.job.config.evaluation.validation
        tasks = [validation_task(question, settings.samples) for question in self.validation]
        batch = asking(tasks, "v", self.global_steps, validate=True)
        tags = [{"is_prompt": True, "status": "pending", "global_steps": self.global_steps} for _ in tasks]
        tq.kv_batch_put(keys=list(batch["uid"]), partition_id="val", tags=tags)
        self.agent_loop_manager.generate_sequences(batch)
        made = self._made("val", questions=len(tasks))
        keys = [key("v", q, sample) for q in range(len(tasks)) for sample in range(settings.samples)]
        if set(keys) - set(made.keys):
            raise TrainingError("validation: not every response was made; the reason stands above in the log")
        responses = answers(keys, "val")
        tq.kv_clear(keys=made.keys, partition_id="val")
        asked = [question for question in self.validation for _ in range(settings.samples)]
        return report(asked, responses, encoder=self.job.encoder, grader=self.job.grader)


def _is_number(value: Any) -> bool:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return False
    return number - number == 0
