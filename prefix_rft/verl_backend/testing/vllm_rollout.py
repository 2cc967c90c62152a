"""verl's own vLLM rollout on a CPU: `backend.engine=vllm` with this module as `backend.plugin` (`make vllm-verl`).

Server, engine, agent loops and the hand-over of weights are verl's and vLLM's. Two thin subclasses take part: the
server's writes down what it is asked and what it answers (`record.py`), the worker's keeps weights that vLLM on a CPU
would throw away (`vllm_worker.py`). vLLM would load the latter as a plugin of its own too (entry point
`vllm.general_plugins`), but in every process of everybody who has this suite installed beside vLLM; like this, only
those meet it who name this module.

vLLM itself is imported by its server's process alone.
"""

from __future__ import annotations

import os
from typing import Any

from verl.workers.rollout.replica import RolloutReplicaRegistry

NAME = "vllm"
_VARIABLES = {
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB; else half of the machine's memory
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # else a core belongs to the engine, also while the trainer works
    "VLLM_NO_USAGE_STATS": "1",
}
"""What vLLM reads from the environment only; what is set there already stays."""


def _replica() -> Any:
    from prefix_rft.verl_backend.testing.vllm_server import Replica

    return Replica


for _name, _value in _VARIABLES.items():
    os.environ.setdefault(_name, _value)
RolloutReplicaRegistry.register(NAME, _replica)
