"""verl's FSDP engine on a CPU: registered for it, with a process group that names its device once."""

from __future__ import annotations

from functools import partial

import verl.workers.engine_workers as workers
from verl.workers.engine.base import EngineRegistry
from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead

EngineRegistry.register(model_type="language_model", backend=["fsdp", "fsdp2"], device="cpu")(
    FSDPEngineWithLMHead
)
# verl would ask for "cpu:gloo,cpu:gloo", and torch refuses a device that is named twice.
workers.initialize_global_process_group_ray = partial(
    workers.initialize_global_process_group_ray, backend="cpu:gloo"
)
