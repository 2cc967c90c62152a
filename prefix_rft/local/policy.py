"""The policy that training and evaluation see, whichever code runs the model; and how to load one.

Axes: B rows, L tokens of prompt and response, T response tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from prefix_rft.errors import TrainingError
from prefix_rft.local import convert
from prefix_rft.settings import LocalBackend

FAST_PATH_LIMIT = 50_000_000
"""Parameters up to which `fast_path=auto` takes the rewritten model.

It wins by making few and small kernel calls. It also multiplies every weight by its norm's gain in every
pass, and decodes rows of different lengths one shared position at a time: with larger models, whose kernels
are long, that costs more than it saves.
"""


@dataclass(frozen=True)
class Generation:
    """What a policy wrote."""

    tokens: list[list[int]]
    """New tokens of each row, the end-of-sequence token included where it was reached."""
    finished: list[bool]
    """Whether the row ended by itself, not at a limit."""
    decode_steps: int
    """Calls of the model for one more token (of all rows that were decoded together)."""


class Policy(Protocol):
    """A causal language model that writes responses and gives their log-probabilities."""

    path: Literal["fast", "general"]
    """Which code runs the model."""
    context_length: int
    """Most tokens of prompt and response together."""
    device: torch.device
    """Where the weights are."""

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
        """Continue every row, until end of sequence, its limit, or the end of the context.

        The token at response position p of row b is chosen by inverse CDF with the keyed uniform number of
        (key_B[b], p): a row's sample does not depend on the rows it is decoded with.

        Args:
            prompts: token ids to continue: the prompt and, for a hybrid rollout, the imitated prefix.
            max_new: most new tokens of each row.
            key_B: one random key a row.
            start_B: response tokens already in each row's prompt (the length of its prefix).
            temperature: divides the logits; 0 takes the most likely token.
            top_p: nucleus; 1 keeps every token.

        Raises:
            TrainingError: a row is empty or longer than the context, or a sampling setting is out of range.
        """
        ...

    def logprobs(
        self,
        ids_BL: Tensor,
        prompt_length_B: Tensor,
        response_length_B: Tensor,
        *,
        with_entropy: bool,
        temperature: float = 1.0,
    ) -> tuple[Tensor, Tensor | None]:
        """Log-probabilities of the response tokens, and the entropies at their positions; differentiable.

        Args:
            ids_BL: int64 prompts and responses, padded on the right with any token id.
            prompt_length_B: prompt tokens of each row, at least 1.
            response_length_B: response tokens of each row.
            with_entropy: whether to compute entropies.
            temperature: divides the logits.

        Returns:
            Two float32 [B, T] tensors, T the longest response: column t belongs to response token t, zeros
            beyond a row's response, on the inputs' device. Entropies are in nats, None unless asked for.
        """
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """The trainable weights."""
        ...

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The trainable weights with their names on this path."""
        ...

    def save(self, folder: Path) -> None:
        """Write config.json, model.safetensors and generation_config.json in the Hugging Face layout.

        Raises:
            OSError: the disk refuses.
        """
        ...


def load_policy(
    source: str | Path, backend: LocalBackend, revision: str | None = None, trust_remote_code: bool = False
) -> Policy:
    """Load a model and choose the code that runs it.

    Args:
        source: a folder in the Hugging Face layout, or a name on the hub.
        backend: device, precision, path and limits.
        revision: commit, tag or branch on the hub.
        trust_remote_code: run code that the model's repository ships.

    Raises:
        TrainingError: the device is not there, the model is not there, `fast_path=on` for a model that the
            fast path does not cover, or a model whose logits the general path cannot reproduce.
        CheckpointError: a file of the folder is damaged.
    """
    device = find_device(backend.device)
    config = convert.read_config(source, revision)
    reason = "fast_path=off" if backend.fast_path == "off" else _why_not_fast(config, backend)
    if reason and backend.fast_path == "on":
        raise TrainingError(
            f"backend.fast_path=on, but the fast path does not cover {source}: {reason}. "
            "Use backend.fast_path=auto"
        )
    if reason is None:
        from prefix_rft.local.fast_policy import FastPolicy

        return FastPolicy.load(convert.find_folder(source, revision), backend, device)
    from prefix_rft.local.transformers_policy import TransformersPolicy

    return TransformersPolicy.load(source, backend, device, revision, trust_remote_code)


def find_device(name: str) -> torch.device:
    """The device of that name.

    Raises:
        TrainingError: it is neither cpu nor cuda, or this machine does not have it.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise TrainingError(f"backend.device={name}: {error}. Use cpu, cuda or cuda:<index>") from None
    if device.type not in ("cpu", "cuda"):
        raise TrainingError(f"backend.device={name} is not supported. Use cpu, cuda or cuda:<index>")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise TrainingError(
            f"backend.device={name} is not available: PyTorch sees {torch.cuda.device_count()} CUDA devices. "
            "Use backend.device=cpu, or a machine with a GPU and a CUDA build of PyTorch"
        )
    return device


def _why_not_fast(config: dict[str, object], backend: LocalBackend) -> str | None:
    reason = convert.covers(config)
    if reason is None and backend.dtype != "float32":
        reason = f"dtype={backend.dtype}, and its rotary embedding is a complex product, which needs float32"
    if reason is None and backend.fast_path == "auto":
        count = convert.Shape.of(config).parameters
        if count > FAST_PATH_LIMIT:
            reason = f"{count:,} parameters, more than {FAST_PATH_LIMIT:,}"
    return reason
