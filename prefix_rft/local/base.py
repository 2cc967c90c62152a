"""The stage that makes a starting model where none is given.

A tiny model is taught the embedded task's language and habits; a scratch model is random, with a tokenizer trained
on the data.
"""

from __future__ import annotations

import math
import tempfile
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from prefix_rft import data, keyed
from prefix_rft.data.chain import Manner, chain_tokens
from prefix_rft.data.chain_encoder import ChainEncoder
from prefix_rft.data.encode import Encoder, load_encoder
from prefix_rft.data.scratch import train_scratch_tokenizer, training_texts
from prefix_rft.errors import SettingsError, TrainingError
from prefix_rft.local.initial import write_random_model
from prefix_rft.local.optimizer import Optimizer
from prefix_rft.local.policy import Policy, load_policy
from prefix_rft.local.trainer import Progress
from prefix_rft.runs.checkpoint import forget_checkpoints, save_checkpoint
from prefix_rft.runs.metrics import MetricsWriter
from prefix_rft.runs.store import RunDir
from prefix_rft.settings import ChainData, RunConfig, ScratchModel, SftPhase, TinyModel, base_backend
from prefix_rft.stop import InterruptedRunError, StopFlag

_BATCH = 64
_LOG_EVERY = 20
_WINDOW = 20
"""Steps over which the loss is averaged before it is judged."""


class _NotLearntError(Exception):
    """One attempt's failure; says which phase and how far it came."""


@dataclass(frozen=True)
class _Phase:
    """One stretch of the tiny model's schooling."""

    name: str
    steps: int
    manner: Manner
    """How the solutions are written."""
    share_by_operations: tuple[float, ...]
    """Share of questions with 1, 2, ... operations."""
    optimizer: SftPhase
    learnt_below: float | None = None
    """The phase ends once the mean loss of a response token is under this; if it never is, the attempt has failed."""


def make_base(config: RunConfig, run: RunDir, *, stop: StopFlag, progress: Progress) -> int:
    """Make the starting model of a configuration; returns the step of its checkpoint.

    Raises:
        InterruptedRunError: a stop was asked for; the stage starts over next time.
        SettingsError: the model is given already, or does not fit the data.
    """
    forget_checkpoints(run.path)  # saved by an attempt that was killed before it said so
    MetricsWriter(run.path).truncate_after(0)
    if isinstance(config.model, TinyModel) and isinstance(config.data, ChainData):
        return _make_tiny(config, config.model, config.data, run, stop, progress)
    if isinstance(config.model, ScratchModel):
        return _make_scratch(config, config.model, run, progress)
    raise SettingsError(
        f"model.kind={config.model.kind} with data.kind={config.data.kind} needs no base stage"
    )


def _make_scratch(config: RunConfig, model: ScratchModel, run: RunDir, progress: Progress) -> int:
    questions = data.load(config.data).train

    def write(folder: Path) -> None:
        train_scratch_tokenizer(training_texts(questions), model.vocabulary, folder)
        _write_model(folder, model, load_encoder(folder), model.base_seed)

    save_checkpoint(run.path, 1, write, keep=1)
    progress(1, 1)
    return 1


def _make_tiny(
    config: RunConfig, model: TinyModel, chain: ChainData, run: RunDir, stop: StopFlag, progress: Progress
) -> int:
    encoder = ChainEncoder(chain.modulus, chain.letters)
    policy, steps = _schooled(config, model, chain, encoder, run, stop, progress)

    def write(folder: Path) -> None:
        policy.save(folder)
        encoder.save(folder)

    save_checkpoint(run.path, steps, write, keep=1)
    return steps


def _schooled(
    config: RunConfig,
    model: TinyModel,
    chain: ChainData,
    encoder: ChainEncoder,
    run: RunDir,
    stop: StopFlag,
    progress: Progress,
) -> tuple[Policy, int]:
    """The first of the seed's attempts that learns, and its steps; the others leave no metrics."""
    for attempt in range(1, model.attempts + 1):
        seed = model.base_seed if attempt == 1 else keyed.key("attempt", model.base_seed, attempt) >> 32
        MetricsWriter(run.path).truncate_after(0)
        with tempfile.TemporaryDirectory() as folder:
            _write_model(Path(folder), model, encoder, seed)
            policy = load_policy(folder, base_backend(config.backend))
        schooling = _Schooling(policy, chain, encoder.pad_id, seed, run)
        try:
            return policy, schooling.train(_phases(model, chain.max_operations), stop, progress)
        except _NotLearntError as error:
            said = str(error)
    raise TrainingError(
        f"the base model of base_seed={model.base_seed} {said}, the last of model.attempts={model.attempts}; take "
        "another model.base_seed or raise the phase's steps"
    )


def _write_model(folder: Path, model: TinyModel | ScratchModel, encoder: Encoder, seed: int) -> None:
    write_random_model(
        folder,
        model.architecture,
        vocabulary=encoder.vocabulary_size,
        eos_id=encoder.eos_id,
        pad_id=encoder.pad_id,
        seed=seed,
    )


def _phases(model: TinyModel, longest: int) -> list[_Phase]:
    """Single operations, then chains, then the habit.

    The arithmetic is what a seed may fail to find: met first in whole chains, some seeds only ever learn to copy.
    When it is found differs between seeds by hundreds of steps, so both phases end by their loss. Its floor is 0 for
    single operations and about 0.02 for chains, the entropy of choosing between one operation and two. An attempt that
    sits on a plateau starts over from other weights, which is cheaper than waiting.
    """
    steady = SftPhase(learning_rate=3e-3, decay="constant", warmup_fraction=0.03, beta2=0.95)
    falling = SftPhase(learning_rate=3e-3, warmup_fraction=0.0, final_share=0.05, beta2=0.95)
    gentle = SftPhase(learning_rate=1e-3, warmup_fraction=0.3, final_share=0.2, beta2=0.95)
    mostly_long, long = _mixture(0.4, longest), _mixture(0.1, longest)
    skill, polish = Manner(model.skill_stepwise), Manner(model.skill_stepwise, wordy=model.polish_wordy)
    habit = Manner(model.habit_stepwise, guessed=model.habit_guessed)
    return [
        _Phase("single", model.single_steps, Manner(1.0), (1.0,), steady, learnt_below=0.01),
        _Phase("skill", model.skill_steps, skill, mostly_long, steady, learnt_below=0.09),
        _Phase("polish", model.polish_steps, polish, mostly_long, falling),
        _Phase("habit", model.habit_steps, habit, long, gentle),
    ]


def _mixture(single: float, longest: int) -> tuple[float, ...]:
    """A share of single operations, the rest spread evenly over longer chains."""
    return (single, *[(1 - single) / (longest - 1)] * (longest - 1)) if longest > 1 else (1.0,)


class _Schooling:
    """Supervised training on fresh questions that the task makes as it goes."""

    def __init__(self, policy: Policy, task: ChainData, pad_id: int, seed: int, run: RunDir) -> None:
        self.policy, self.task, self.pad_id, self.seed = policy, task, pad_id, seed
        self.metrics = MetricsWriter(run.path)
        self.step = 0

    def train(self, phases: Sequence[_Phase], stop: StopFlag, progress: Progress) -> int:
        total = sum(phase.steps for phase in phases)
        for phase in phases:
            self._phase(phase, total, stop, progress)
        return self.step

    def _phase(self, phase: _Phase, total: int, stop: StopFlag, progress: Progress) -> None:
        optimizer = Optimizer(self.policy, phase.optimizer, phase.steps)
        rng = keyed.generator("schooling", self.seed, phase.name)
        losses: deque[float] = deque(maxlen=_WINDOW)
        for _ in range(phase.steps):
            if stop:
                raise InterruptedRunError(f"{stop.signal} while the base model was trained; it starts over")
            losses.append(self._one_step(phase, optimizer, rng))
            progress(self.step, total)
            if self.step % _LOG_EVERY == 0:
                self.metrics.append(self.step, "train", {"loss": losses[-1], "phase": phase.name})
            if _is_learnt(losses, phase.learnt_below):
                break
        else:
            if phase.learnt_below is not None and phase.steps:
                raise _NotLearntError(
                    f"has not learnt the phase {phase.name!r} in model.{phase.name}_steps={phase.steps} (loss "
                    f"{_mean(losses):.3f}, wanted below {phase.learnt_below})"
                )

    def _one_step(self, phase: _Phase, optimizer: Optimizer, rng: np.random.Generator) -> float:
        shares = phase.share_by_operations
        operations = rng.choice(np.arange(1, len(shares) + 1), p=shares, size=_BATCH)
        rows = chain_tokens(self.task, operations.tolist(), phase.manner, rng)
        optimizer.zero_grad()
        loss = _token_mean_loss(self.policy, rows, self.pad_id)
        loss.backward()  # type: ignore[no-untyped-call]
        found = float(loss.detach())
        norm = optimizer.step() if math.isfinite(found) else math.nan
        if not math.isfinite(norm):
            raise TrainingError(
                f"the base model's loss {found} or gradient norm {norm} is not finite after {self.step} steps, in the "
                f"phase {phase.name!r}; nothing is saved. Take another model.base_seed"
            )
        self.step += 1
        return found


def _token_mean_loss(
    policy: Policy, rows: Sequence[tuple[list[int], list[int]]], pad_id: int
) -> torch.Tensor:
    width = max(len(prompt) + len(response) for prompt, response in rows)
    ids_BL = torch.tensor([p + r + [pad_id] * (width - len(p) - len(r)) for p, r in rows])
    response_length_B = torch.tensor([len(response) for _, response in rows])
    prompt_length_B = torch.tensor([len(prompt) for prompt, _ in rows])
    logp_BT, _ = policy.logprobs(ids_BL, prompt_length_B, response_length_B, with_entropy=False)
    return -logp_BT.sum() / response_length_B.sum()


def _is_learnt(losses: deque[float], below: float | None) -> bool:
    return below is not None and len(losses) == _WINDOW and _mean(losses) < below


def _mean(losses: deque[float]) -> float:
    return sum(losses) / len(losses)
