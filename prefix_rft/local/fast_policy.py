"""A policy run by the fast model: small Qwen2 and Llama architectures, in float32."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from prefix_rft.errors import CheckpointError
from prefix_rft.local import convert
from prefix_rft.local.chunked import token_logprobs
from prefix_rft.local.fast_decode import decode
from prefix_rft.local.fast_model import FastModel
from prefix_rft.local.generation import Limits, generate
from prefix_rft.local.packing import pack
from prefix_rft.local.policy import Generation
from prefix_rft.local.responses import ResponsePositions
from prefix_rft.settings import LocalBackend


class FastPolicy:
    """See `Policy`; the weights are trained under fused names and saved under those of `transformers`."""

    path: Literal["fast", "general"] = "fast"

    def __init__(
        self,
        model: FastModel,
        config: convert.Config,
        generation_config: convert.Config,
        backend: LocalBackend,
    ) -> None:
        self.model = model
        self.config = config
        self.generation_config = generation_config
        self.context_length = model.shape.max_positions
        self.device = model.norm.device
        self._logits_budget = backend.logits_budget
        stop_ids = convert.stop_ids(config, generation_config)
        self._limits = Limits(self.context_length, backend.generation_batch, stop_ids)

    @classmethod
    def load(cls, folder: Path, backend: LocalBackend, device: torch.device) -> FastPolicy:
        """Read a folder in the Hugging Face layout.

        Raises:
            CheckpointError: a file is missing or damaged, or the weights are not those config.json describes.
        """
        config, generation_config, state = convert.read_folder(folder)
        shape = convert.Shape.of(config)
        return cls(_filled(shape, convert.fuse(state, shape), device), config, generation_config, backend)

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        max_new: Sequence[int],
        key_B: NDArray[np.uint64],
        start_B: Sequence[int],
        temperature: float = 1.0,
        top_p: float = 1.0,
    ) -> Generation:
        """See `Policy.generate`."""
        one_batch = partial(decode, self.model)
        return generate(one_batch, self._limits, prompts, max_new, key_B, start_B, temperature, top_p)

    def logprobs(
        self,
        ids_BL: Tensor,
        prompt_length_B: Tensor,
        response_length_B: Tensor,
        *,
        with_entropy: bool,
        temperature: float = 1.0,
    ) -> tuple[Tensor, Tensor | None]:
        """See `Policy.logprobs`."""
        at = ResponsePositions.of(prompt_length_B, response_length_B, ids_BL.shape[1] - 1)
        packed = pack(ids_BL, prompt_length_B, response_length_B)
        response_r = torch.from_numpy(packed.response_r).to(self.device)
        logp_e, entropy_e = token_logprobs(
            self.model.hidden(packed),
            self.model.head_weight(),
            torch.from_numpy(packed.target_e).to(self.device),
            temperature=temperature,
            with_entropy=with_entropy,
            budget=self._logits_budget,
        )
        logp_BT = at.spread(logp_e.index_select(0, response_r))
        if entropy_e is None:
            return logp_BT, None
        return logp_BT, at.spread(entropy_e.index_select(0, response_r))

    def parameters(self) -> Iterator[nn.Parameter]:
        """See `Policy.parameters`."""
        return self.model.parameters()

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """See `Policy.named_parameters`."""
        return self.model.named_parameters()

    def save(self, folder: Path) -> None:
        """See `Policy.save`."""
        fused = {name: weight.detach().cpu() for name, weight in self.model.named_parameters()}
        state = convert.unfuse(fused, self.model.shape)
        convert.write_folder(folder, self.config | {"dtype": "float32"}, self.generation_config, state)


def _filled(shape: convert.Shape, fused: convert.State, device: torch.device) -> FastModel:
    model = FastModel(shape)
    for name, weight in fused.items():
        weight_here = model.get_parameter(name)
        if weight.shape != weight_here.shape:
            raise CheckpointError(
                f"weights {name} have size {tuple(weight.shape)}; config.json says {tuple(weight_here.shape)}"
            )
        weight_here.data.copy_(weight)
    return model.to(device)
