"""What verl adds to vLLM's worker process, on a CPU: weights are kept where they can be loaded again.

Imported by vLLM's worker alone, before it makes its model.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import vllm.model_executor.layers.utils as layers
from torch import Tensor
from verl.workers.rollout.vllm_rollout.utils import vLLMColocateWorkerExtension

from prefix_rft.verl_backend.digest import digest

_prepack = layers.dispatch_cpu_unquantized_gemm


def _prepack_a_copy(layer: Any, remove_weight: bool) -> None:
    """Pack a layer's weight for the CPU's kernels, and keep the weight.

    vLLM empties it afterwards, since it loads weights once; verl's next hand-over would find parameters of size 0.
    """
    _prepack(layer, remove_weight=False)


layers.dispatch_cpu_unquantized_gemm = _prepack_a_copy


class Worker(vLLMColocateWorkerExtension):  # type: ignore[misc]
    """Methods that verl and the tests call in vLLM's worker."""

    def held_digest(self) -> str:
        """Digest of the weights that the engine holds, by the names they have in a checkpoint."""
        return digest(dict(published(self.model_runner.model)))


def published(model: Any) -> Iterator[tuple[str, Tensor]]:
    """Weights of a vLLM model on one device as a checkpoint has them: fused ones apart, without padding."""
    for name, weight in model.named_parameters():
        path, _, kind = name.rpartition(".")
        owner, _, fused = path.rpartition(".")
        layer = model.get_submodule(path)
        if fused in model.packed_modules_mapping:
            parts = weight.split(list(layer.output_sizes))
            for part, piece in zip(model.packed_modules_mapping[fused], parts, strict=True):
                yield f"{owner}.{part}.{kind}", piece
        else:
            yield name, weight[: getattr(layer, "org_vocab_size", None)]
