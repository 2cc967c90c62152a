"""An inference engine for verl on a CPU (`backend.engine=cpu`): server, replica, and the trainer's side of it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from typing import Any

import ray
import torch
from torch import Tensor
from verl.workers.rollout.base import _ROLLOUT_REGISTRY, BaseRollout
from verl.workers.rollout.replica import RolloutReplica, RolloutReplicaRegistry, TokenOutput

from prefix_rft.verl_backend.digest import digest
from prefix_rft.verl_backend.testing.record import record
from prefix_rft.verl_backend.testing.sampling import Row, sample

NAME = "cpu"
_GATHER_SECONDS = 0.02
_TOGETHER = 64


class Server:
    """Samples with a copy of the model; an actor of its own."""

    def __init__(self, config: Any, model_path: str) -> None:
        from transformers import AutoConfig, AutoModelForCausalLM

        torch.set_num_threads(1)
        self._config = config
        self._model = AutoModelForCausalLM.from_config(
            AutoConfig.from_pretrained(model_path), attn_implementation="eager"
        )
        self._model.eval().float()
        end = self._model.config.eos_token_id
        self._ends = set(end) if isinstance(end, list) else {end}
        self._version: int | None = None
        self._waiting: list[tuple[Row, asyncio.Future[None]]] = []
        self._worker: asyncio.Task[None] | None = None

    async def ping(self) -> int:
        """Process id, once the server stands."""
        return os.getpid()

    async def load_weights(self, weights: dict[str, Tensor], global_steps: int | None) -> str:
        """Take over weights; returns the digest of what is now in the model."""
        missing, unexpected = self._model.load_state_dict(weights, strict=False)
        tied = self._model.config.tie_word_embeddings
        missing = [name for name in missing if not (tied and name == "lm_head.weight")]
        if missing or unexpected:
            raise ValueError(f"weights do not fit the model: missing {missing}, unexpected {unexpected}")
        self._version = global_steps
        held = self._model.state_dict()
        return digest({name: held[name] for name in weights})

    async def set_global_steps(self, global_steps: int) -> None:
        """Number of the weights."""
        self._version = global_steps

    async def wake_up(self, tags: Any = None) -> None:
        """Nothing sleeps."""

    async def sleep(self) -> None:
        """Nothing is kept."""

    async def clear_kv_cache(self) -> None:
        """Nothing is kept."""

    async def abort_all_requests(self, reject_request: bool = False) -> None:
        """Never asked for in synchronous training."""

    async def resume_generation(self) -> None:
        """Never asked for in synchronous training."""

    async def generate(
        self, prompt_ids: list[int], sampling_params: dict[str, Any], request_id: str, **_: Any
    ) -> TokenOutput:
        """One response; requests that arrive together are sampled together."""
        if self._version is None:
            raise RuntimeError("a response was asked for before the first synchronisation of weights")
        row = Row(
            list(prompt_ids),
            float(sampling_params["temperature"]),
            int(sampling_params["max_tokens"]),
            int(sampling_params["seed"]),
        )
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((row, done))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        await done
        record(
            self._config.engine_kwargs.get(NAME),
            kind="request",
            step=self._version,
            prompt=row.prompt,
            written=row.written,
        )
        return TokenOutput(
            token_ids=row.written, stop_reason="completed", extra_fields={"global_steps": self._version}
        )

    async def _work(self) -> None:
        await asyncio.sleep(_GATHER_SECONDS)
        while self._waiting:
            batch, self._waiting = self._waiting[:_TOGETHER], self._waiting[_TOGETHER:]
            try:
                await asyncio.to_thread(sample, self._model, [row for row, _ in batch], self._ends)
            except Exception as error:
                for _, done in batch:
                    done.set_exception(error)
            else:
                for _, done in batch:
                    done.set_result(None)
        self._worker = None


class Replica(RolloutReplica):  # type: ignore[misc]
    """One server for each of the trainer's workers."""

    async def launch_servers(self) -> None:
        """Start the server and wait for it."""
        server = (
            ray.remote(Server)
            .options(name=_name(self.replica_rank), num_cpus=0, max_concurrency=self.max_concurrency)
            .remote(self.config, self.model_config.path)
        )
        pid = await server.ping.remote()
        self.servers = [server]
        self._server_handle = server
        self._server_address = f"process-{pid}"


class Adapter(BaseRollout):  # type: ignore[misc]
    """The trainer's side: hands its weights over."""

    def __init__(self, config: Any, model_config: Any, device_mesh: Any, *_: Any, **__: Any) -> None:
        super().__init__(config, model_config, device_mesh)
        self._rank = int(os.environ["RANK"])

    async def resume(self, tags: list[str]) -> None:
        """Nothing sleeps."""

    async def release(self) -> None:
        """Nothing is kept."""

    async def update_weights(
        self, weights: Iterable[tuple[str, Tensor]], global_steps: int | None = None, **_: Any
    ) -> None:
        """Hand the weights over, and write down that they arrived as they were sent."""
        sent = {name: weight.detach().clone() for name, weight in weights}
        server = ray.get_actor(_name(self._rank))
        there, here = await server.load_weights.remote(sent, global_steps), digest(sent)
        settings = self.config.engine_kwargs.get(NAME)
        record(settings, kind="sync", step=global_steps, rank=self._rank, trainer=here, rollout=there)
        if here != there:
            raise ValueError(f"weights {there} arrived at the inference engine, not {here}")


def _name(rank: int) -> str:
    return f"prefix_rft_cpu_server_{rank}"


RolloutReplicaRegistry.register(NAME, lambda: Replica)
_ROLLOUT_REGISTRY[(NAME, "async")] = f"{__name__}.Adapter"  # verl has no function for it
