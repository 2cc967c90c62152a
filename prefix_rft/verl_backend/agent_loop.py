"""The agent loop (`rollout.agent.agent_loop_config_path`): a response continues the tokens it is given.

Token ids go to the engine as they are: nothing is decoded, rendered or tokenised here.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from verl.experimental.agent_loop.agent_loop import AgentLoopBase, AgentLoopMetrics, AgentLoopOutput
from verl.utils.profiler import simple_timer

from prefix_rft.verl_backend.task import Asked, Task

_SEED = {"sglang": "sampling_seed"}
"""What an engine calls the seed of one request, where it is not `seed`."""


class MethodAgentLoop(AgentLoopBase):  # type: ignore[misc]
    """Session k of a question makes the k-th response that the trainer asked for."""

    def __init__(self, trainer_config: Any, server_manager: Any, **_: Any) -> None:
        """Keep what `run` needs, and nothing that renders or tokenises (verl's own start asks for a known tokenizer).

        Args:
            trainer_config: verl's configuration, wrapped.
            server_manager: asks the inference engine.
        """
        self.rollout_config = trainer_config.config.actor_rollout_ref.rollout
        self.server_manager = server_manager

    async def run(self, sampling_params: dict[str, Any], **row: Any) -> AgentLoopOutput:
        """One response.

        Args:
            sampling_params: verl's, by its configuration.
            row: what the trainer sent (`task`, `global_steps`) and `session_id`.
        """
        task, step = Task.parse(row["task"]), int(row["global_steps"])
        asked = task.responses[int(row["session_id"])]
        room = 0 if asked.complete else self.rollout_config.response_length - len(asked.prefix)
        seconds: dict[str, float] = {}
        written: list[int] = []
        versions = {"min_global_steps": step, "max_global_steps": step}
        if room:
            with simple_timer("generate_sequences", seconds):
                made = await self.server_manager.generate(
                    request_id=uuid4().hex,
                    prompt_ids=[*task.prompt, *asked.prefix],
                    sampling_params=self._sampling(sampling_params, asked, room),
                )
            written = list(made.token_ids[:room])
            versions = {name: made.extra_fields.get(name, step) for name in versions}
        response = [*asked.prefix, *written]
        return AgentLoopOutput(
            prompt_ids=list(task.prompt),
            response_ids=response,
            response_mask=[1] * len(response),
            num_turns=2,
            metrics=AgentLoopMetrics(**seconds),
            extra_fields=versions,
        )

    def _sampling(self, given: dict[str, Any], asked: Asked, room: int) -> dict[str, Any]:
        return {**given, "max_tokens": room, _SEED.get(self.rollout_config.name, "seed"): asked.seed}
