"""The verl backend under audit: verl's own worker (FSDP2, its accumulation, its clipping) with our loss, no Ray.

Which rows go through together is said from here, but for the token budget, where verl decides. The trainer and the
queue have no part in a gradient and none here.

Axes: B rows of the whole rollout step, T response tokens.
"""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from prefix_rft.audit.backends import Computed, Gradient
from prefix_rft.audit.cases import Case
from prefix_rft.audit.faults import Fault, factors_of, scaled
from prefix_rft.local.policy import load_policy
from prefix_rft.local.scoring import Split, TokenBudget
from prefix_rft.rollout import StepContext
from prefix_rft.runs.store import RunDir
from prefix_rft.settings import LocalBackend, RlPhase, RunConfig, VerlBackend, parse
from prefix_rft.settings.backend import TEST_PLUGIN
from prefix_rft.verl_backend.config import Files, verl_config
from prefix_rft.verl_backend.guard import check_verl
from prefix_rft.verl_backend.optimizer import CourseAdamW
from prefix_rft.verl_backend.rows import WeighedRows, weigh
from prefix_rft.verl_backend.session import environment

_MOVE = 0.05
"""Standard deviation of the weights' move between two mini-batches: enough for clips to bind."""


class VerlAudit:
    """See `AuditBackend`; one worker, on the GPU where there is one."""

    skips_rows = False

    def __init__(self, folder: Path) -> None:
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.offloads = self.device == "cuda"
        config = _settings(self.device)
        assert isinstance(config.backend, VerlBackend)
        os.environ.update(environment(config.backend) | _alone())
        check_verl()
        self._place = tempfile.TemporaryDirectory()
        self._worker = _make_worker(config, folder, Path(self._place.name))
        self._engine = self._worker.actor.engine
        self._scorer = load_policy(folder, LocalBackend(device=self.device, fast_path="off"))
        self._start = self._weights()

    def compute(
        self, case: Case, split: Split, *, skip: bool = False, fault: Fault | None = None
    ) -> Computed:
        """See `AuditBackend.compute`."""
        self._set(self._start)
        gradients: list[Gradient] = []
        random = torch.Generator().manual_seed(0)

        def record() -> float:
            gradients.append({name: _whole(p.grad) for name, p in self._parameters() if p.grad is not None})
            noise = {name: torch.randn(w.shape, generator=random) for name, w in self._weights().items()}
            self._set({name: w + noise[name] * _MOVE for name, w in self._weights().items()})
            return 0.0

        factors = None if fault is None else factors_of(case, split, fault)
        with self._stepping_by(record):
            loss = self._rollout_step(case, split, case.at, factors)
        return Computed(loss, gradients)

    def train(self, case: Case, split: Split, *, steps: int, offload: bool) -> Gradient:
        """See `AuditBackend.train`."""
        self._set(self._start)
        phase, engine = case.phase, self._engine
        engine.optimizer = CourseAdamW(
            list(engine.module.parameters()),
            lr=phase.learning_rate,
            weight_decay=phase.weight_decay,
            betas=(phase.beta1, phase.beta2),
            decay=phase.decay,
            final_share=phase.final_share,
            warmup_fraction=phase.warmup_fraction,
            updates=steps * _mini_batches(case),
        )
        object.__setattr__(engine.optimizer_config, "clip_grad", phase.max_grad_norm)
        engine._is_offload_optimizer = offload
        for step in range(steps):
            self._rollout_step(case, split, StepContext(case.at.seed, step, case.at.total_steps), None)
        return {name: weight - self._start[name] for name, weight in self._weights().items()}

    def _rollout_step(self, case: Case, split: Split, at: StepContext, factors: list[float] | None) -> float:
        """One rollout step's updates; returns the loss."""
        from prefix_rft.verl_backend.loss import method_loss  # imports verl, which must find its environment

        batch = case.responses.batch
        parts = batch.mini_batches(_mini_batches(case))
        old_logp_BT, entropy_BT = self._score(case)
        entropies = entropy_BT if case.method.wants_entropy else None
        weighed = weigh(case.method, batch, parts, entropies, at, case.phase.aggregation, case.max_response)
        loss = method_loss(case.method, case.phase)
        self._worker.set_loss_fn(loss if factors is None else _BrokenLoss(loss, iter(factors)))
        found = [
            self._mini_batch([_row(case, i, old_logp_BT, weighed) for i in part.tolist()], case, split)
            for part in parts
        ]
        return sum(found) / len(found)

    def _mini_batch(self, rows: list[dict[str, Tensor]], case: Case, split: Split) -> float:
        from tensordict import TensorDict
        from verl.utils import tensordict_utils as tu

        fields = {
            name: torch.nested.as_nested_tensor([row[name] for row in rows], layout=torch.jagged)
            for name in rows[0]
        }
        data = TensorDict(fields, batch_size=len(rows))
        longest = max(len(row["input_ids"]) for row in rows)
        tu.assign_non_tensor(
            data,
            calculate_entropy=getattr(case.phase, "entropy_coefficient", 0.0) > 0,
            global_batch_size=len(rows),
            mini_batch_size=len(rows),
            epochs=1,
            seed=0,
            dataloader_kwargs={"shuffle": False},
            temperature=_temperature(case),
            max_token_len_per_gpu=max(longest, getattr(split, "tokens", longest)),
        )
        with _cut_by(split):
            metrics = self._worker.update_actor(data)["metrics"]
        return float(torch.tensor(metrics["loss"]).float().mean())

    @torch.no_grad()
    def _score(self, case: Case) -> tuple[Tensor, Tensor]:
        """Log-probabilities and entropies [B, T] under the worker's weights."""
        weights = self._weights()
        for name, parameter in self._scorer.named_parameters():
            parameter.copy_(weights[name])
        responses = case.responses
        logp_BT, entropy_BT = self._scorer.logprobs(
            responses.ids_BL,
            responses.prompt_length_B,
            responses.batch.response_length_B,
            with_entropy=True,
            temperature=_temperature(case),
        )
        assert entropy_BT is not None
        return logp_BT.cpu(), entropy_BT.cpu()

    def _parameters(self) -> Iterator[tuple[str, Tensor]]:
        yield from self._engine.module.named_parameters()

    def _weights(self) -> Gradient:
        return {name: _whole(parameter.detach()) for name, parameter in self._parameters()}

    @torch.no_grad()
    def _set(self, weights: Gradient) -> None:
        """Give the only worker, which holds every weight whole, these weights."""
        for name, parameter in self._parameters():
            held: Any = parameter
            held.to_local().copy_(weights[name])

    @contextmanager
    def _stepping_by(self, step: Callable[[], float]) -> Iterator[None]:
        """While it lasts, this takes the place of clipping and the optimizer's step."""
        self._engine.optimizer_step = step
        try:
            yield
        finally:
            del self._engine.optimizer_step


@dataclass
class _BrokenLoss:
    """A loss whose gradient each micro-batch multiplies by its factor."""

    loss: Callable[..., tuple[Tensor, dict[str, Any]]]
    factors: Iterator[float]

    def __call__(self, *arguments: Any, **named: Any) -> tuple[Tensor, dict[str, Any]]:
        """See `MethodLoss`."""
        loss, sums = self.loss(*arguments, **named)
        return scaled(loss, next(self.factors)), sums


@contextmanager
def _cut_by(split: Split) -> Iterator[None]:
    """While it lasts, verl's engine takes the micro-batches of this split; a token budget it makes into its own."""
    from verl.utils import tensordict_utils as tu
    from verl.workers.engine.fsdp import transformer_impl as engine

    theirs = engine.prepare_micro_batches

    def ours(data: Any, **_: Any) -> tuple[list[Any], list[list[int]]]:
        length_B = data["input_ids"].offsets().diff().cpu()
        parts = [part.tolist() for part in split(length_B)]
        return [tu.index_select_tensor_dict(data, part) for part in parts], parts

    if not isinstance(split, TokenBudget):
        engine.prepare_micro_batches = ours
    try:
        yield
    finally:
        engine.prepare_micro_batches = theirs


def _row(case: Case, i: int, old_logp_BT: Tensor, weighed: WeighedRows) -> dict[str, Tensor]:
    """A response as verl's queue hands it to a worker, with our columns."""
    batch = case.responses.batch
    start, length = int(case.responses.prompt_length_B[i]), int(batch.response_length_B[i])
    ids = case.responses.ids_BL[i, : start + length]
    mask = torch.ones(length, dtype=torch.long)
    return {
        "prompts": ids[:start],
        "responses": ids[start:],
        "response_mask": mask,
        "loss_mask": mask.clone(),
        "input_ids": ids,
        "position_ids": torch.arange(len(ids)),
        "old_log_probs": old_logp_BT[i, :length],
        "alpha": weighed.alpha_BT[i, :length],
        "beta": weighed.beta_BT[i, :length],
        "scale": weighed.scale_BT[i, :length],
        "imitated": batch.imitated_BT()[i, :length].long(),
    }


def _mini_batches(case: Case) -> int:
    return case.phase.mini_batches if isinstance(case.phase, RlPhase) else 1


def _temperature(case: Case) -> float:
    return case.phase.temperature if isinstance(case.phase, RlPhase) else 1.0


def _whole(tensor: Any) -> Tensor:
    """On the CPU, from a worker that holds all of it."""
    held: Tensor = tensor.full_tensor().cpu().clone()
    return held


def _alone() -> dict[str, str]:
    """One worker, which needs no launcher."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return {
        "RANK": "0",
        "LOCAL_RANK": "0",
        "WORLD_SIZE": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def _settings(device: str) -> RunConfig:
    """Only what makes the worker is read of it."""
    on_a_cpu = {"engine": "cpu", "plugin": TEST_PLUGIN} if device == "cpu" else {}
    backend = {
        "kind": "verl",
        "device": device,
        "dtype": "float32",
        "devices_per_node": 1,
        "attention": "eager",
        "gradient_checkpointing": False,
        **on_a_cpu,
    }
    return parse(
        RunConfig,
        {
            "method": {"name": "rft"},
            "model": {"kind": "tiny"},
            "data": {"kind": "chain"},
            "optimisation": {"rl": {"gradient_norms_every": 0}},
            "backend": backend,
        },
    )


def _make_worker(config: RunConfig, model: Path, place: Path) -> Any:
    from verl.workers.engine_workers import ActorRolloutRefWorker

    files = Files(
        model=model,
        train=place / "train.parquet",
        validation=None,
        agent_loop=place / "agent_loop.yaml",
        checkpoints=place,
    )
    theirs = verl_config(config, files, RunDir(place), total_steps=1)
    worker = ActorRolloutRefWorker(config=theirs.actor_rollout_ref, role="actor")
    worker.init_model()
    return worker
