"""verl's vLLM server and replica; they write down requests, log-probabilities and a digest of the engine's weights."""

from __future__ import annotations

from typing import Any

import ray
from verl.workers.rollout.replica import TokenOutput
from verl.workers.rollout.vllm_rollout.vllm_async_server import vLLMHttpServer, vLLMReplica

from prefix_rft.verl_backend.testing.record import LOG, record
from prefix_rft.verl_backend.testing.vllm_rollout import NAME

WORKER = "prefix_rft.verl_backend.testing.vllm_worker.Worker"


class Server(vLLMHttpServer):  # type: ignore[misc]
    """Answers as verl's does."""

    def _get_worker_extension_cls(self) -> str:
        return WORKER

    def _preprocess_engine_kwargs(self, engine_kwargs: dict[str, Any]) -> None:
        super()._preprocess_engine_kwargs(engine_kwargs)
        engine_kwargs.pop(LOG, None)  # the others become vLLM's command line

    async def generate(
        self, prompt_ids: list[int], sampling_params: dict[str, Any], request_id: str, **more: Any
    ) -> TokenOutput:
        """One response; its log-probabilities are written down and go no further, as nobody asked for them."""
        made = await super().generate(prompt_ids, {**sampling_params, "logprobs": True}, request_id, **more)
        written, logp = list(made.token_ids), made.log_probs
        self._record(kind="request", step=self.global_steps, prompt=prompt_ids, written=written, logp=logp)
        made.log_probs = None
        return made

    async def set_global_steps(self, global_steps: int) -> None:
        """Number of the weights, which were handed over just before."""
        await super().set_global_steps(global_steps)
        (held,) = await self.engine.collective_rpc("held_digest")
        self._record(kind="sync", step=global_steps, rollout=held)

    def _record(self, **line: Any) -> None:
        record(self.config.engine_kwargs.get(NAME), **line)


class Replica(vLLMReplica):  # type: ignore[misc]
    """Starts that server."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.server_class = ray.remote(Server)
