"""A policy run by any causal language model of `transformers`.

Axes: B rows, L tokens, d width, V vocabulary, U distinct prompts.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor, nn

from prefix_rft.errors import TrainingError
from prefix_rft.local import convert
from prefix_rft.local.chunked import token_logprobs
from prefix_rft.local.generation import Limits, Rows, generate
from prefix_rft.local.policy import Generation
from prefix_rft.local.responses import ResponsePositions
from prefix_rft.local.sampling import Sampler
from prefix_rft.settings import LocalBackend

_PROBE = 4
"""Tokens of the trial that compares our logits with the model's own."""


class TransformersPolicy:
    """See `Policy`; the model stays in evaluation mode: no dropout between sampling and training."""

    path: Literal["fast", "general"] = "general"

    def __init__(self, model: Any, backend: LocalBackend) -> None:
        """Take over a loaded model.

        Raises:
            TrainingError: its logits are not its last hidden states times its output embedding, or its cache
                cannot drop rows.
        """
        self.model = model.eval()
        self.device = torch.device(model.device)
        config = model.config.get_text_config()
        # Architectures without position embeddings state no limit.
        self.context_length = int(getattr(config, "max_position_embeddings", None) or sys.maxsize)
        self.base = model.base_model
        self.head = _find_head(model)
        self.takes_positions = "position_ids" in inspect.signature(self.base.forward).parameters
        _check_logits(self)
        _check_cache(self)
        self._logits_budget = backend.logits_budget
        stop_ids = convert.stop_ids(model.config.to_dict(), model.generation_config.to_dict())
        self._limits = Limits(self.context_length, backend.generation_batch, stop_ids)

    @classmethod
    def load(
        cls,
        source: str | Path,
        backend: LocalBackend,
        device: torch.device,
        revision: str | None = None,
        trust_remote_code: bool = False,
    ) -> TransformersPolicy:
        """Load with `AutoModelForCausalLM`.

        Raises:
            TrainingError: `transformers` cannot load the model; its own message is kept.
        """
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging

        # The suite has progress of its own; these bars would write over it.
        logging.disable_progress_bar()
        try:
            model = AutoModelForCausalLM.from_pretrained(
                source,
                revision=revision or "main",
                trust_remote_code=trust_remote_code,
                # A pickle runs what it likes when it is loaded.
                use_safetensors=True,
                dtype=getattr(torch, backend.dtype),
            )
        except (ValueError, OSError, RuntimeError, SafetensorError) as error:
            raise TrainingError(f"transformers cannot load {source}: {error}{_of_pickles(source)}") from error
        return cls(model.to(device), backend)

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
        return generate(self._decode, self._limits, prompts, max_new, key_B, start_B, temperature, top_p)

    def logprobs(
        self,
        ids_BL: Tensor,
        prompt_length_B: Tensor,
        response_length_B: Tensor,
        *,
        with_entropy: bool,
        temperature: float = 1.0,
    ) -> tuple[Tensor, Tensor | None]:
        """See `Policy.logprobs`; causal attention alone keeps right padding out of real tokens."""
        at = ResponsePositions.of(prompt_length_B, response_length_B, ids_BL.shape[1] - 1)
        inputs_BL = ids_BL[:, :-1].to(self.device)
        hidden_BLd = self.base(
            inputs_BL, attention_mask=torch.ones_like(inputs_BL), use_cache=False
        ).last_hidden_state
        logp_n, entropy_n = token_logprobs(
            hidden_BLd.flatten(0, 1).index_select(0, at.source_n.to(self.device)),
            self.head.weight,
            ids_BL[:, 1:].flatten()[at.source_n].to(self.device),
            bias_V=self.head.bias,
            temperature=temperature,
            with_entropy=with_entropy,
            budget=self._logits_budget,
        )
        return at.spread(logp_n), None if entropy_n is None else at.spread(entropy_n)

    def parameters(self) -> Iterator[nn.Parameter]:
        """See `Policy.parameters`."""
        found: Iterator[nn.Parameter] = self.model.parameters()
        return found

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """See `Policy.named_parameters`."""
        found: Iterator[tuple[str, nn.Parameter]] = self.model.named_parameters()
        return found

    def save(self, folder: Path) -> None:
        """See `Policy.save`."""
        try:
            self.model.save_pretrained(folder)
        except SafetensorError as error:
            raise OSError(f"{folder}: {error}") from error

    @torch.inference_mode()
    def _decode(self, rows: Rows, sampler: Sampler) -> tuple[list[list[int]], int]:
        """Sample every row one token at a time; finished rows leave the batch at once."""
        batch = _LeftPadded(self, rows)
        written: list[list[int]] = [[] for _ in rows.known]
        live = np.arange(len(written))
        steps = 0
        while True:
            token_B = sampler.draw(batch.logits_BV, live, rows.start_B[live] + steps).cpu().numpy()
            for row, token in zip(live, token_B.tolist(), strict=True):
                written[row].append(token)
            steps += 1
            going = ~rows.stops_B(token_B) & (rows.length_B[live] + steps < rows.limit_B[live])
            if not going.any():
                return written, steps
            batch.advance(torch.from_numpy(token_B), torch.from_numpy(going))
            live = live[going]


class _LeftPadded:
    """A batch whose rows end at the same column, its attention mask and its cache."""

    logits_BV: Tensor
    """Logits after the last token of each row."""

    def __init__(self, policy: TransformersPolicy, rows: Rows) -> None:
        """Read the prompts; each distinct one once, since the rollouts of a question share theirs."""
        self._policy = policy
        padded_BL = np.zeros((len(rows.known), int(rows.length_B.max())), np.int64)
        for row, tokens in enumerate(rows.known):
            padded_BL[row, -len(tokens) :] = tokens
        keyed_BL = np.concatenate([rows.length_B[:, None], padded_BL], 1)
        distinct_UL, row_of_B = np.unique(keyed_BL, axis=0, return_inverse=True)
        index_B = torch.from_numpy(row_of_B).to(policy.device)
        self._length_B = torch.from_numpy(distinct_UL[:, 0]).to(policy.device)
        width = padded_BL.shape[1]
        column_L = torch.arange(width, device=policy.device)
        self._mask_BL = (column_L >= width - self._length_B[:, None]).long()
        self._cache: Any = None
        position_BL = (self._mask_BL.cumsum(-1) - 1).clamp(min=0)
        self._forward(torch.from_numpy(distinct_UL[:, 1:]).to(policy.device), position_BL)
        self._select(index_B)

    def advance(self, token_B: Tensor, going_B: Tensor) -> None:
        """Drop the rows that have ended, append a token to the others."""
        device = self._mask_BL.device
        if not bool(going_B.all()):
            self._select(going_B.nonzero()[:, 0].to(device))
        token_B = token_B[going_B].to(device)
        self._mask_BL = torch.cat([self._mask_BL, self._mask_BL.new_ones(len(token_B), 1)], 1)
        self._forward(token_B[:, None], self._length_B[:, None])
        self._length_B = self._length_B + 1

    def _forward(self, ids_BL: Tensor, position_BL: Tensor) -> None:
        # Without rotary or learned positions (ALiBi) the mask alone says where a token stands.
        positions = {"position_ids": position_BL} if self._policy.takes_positions else {}
        out = self._policy.base(
            input_ids=ids_BL,
            attention_mask=self._mask_BL,
            past_key_values=self._cache,
            use_cache=True,
            **positions,
        )
        self._cache = out.past_key_values
        self.logits_BV = self._policy.head(out.last_hidden_state[:, -1]).float()

    def _select(self, index: Tensor) -> None:
        self._mask_BL, self._length_B = self._mask_BL[index], self._length_B[index]
        self.logits_BV = self.logits_BV[index]
        self._cache.batch_select_indices(index)


def _of_pickles(source: str | Path) -> str:
    """A hint where the folder's weights are pickles, which are never loaded."""
    if (
        not Path(source).is_dir()
        or any(Path(source).glob("*.safetensors"))
        or not any(Path(source).glob("*.bin"))
    ):
        return ""
    return ". Its weights are pickles (*.bin), which could run code; convert them to safetensors first"


def _find_head(model: Any) -> nn.Linear:
    head = model.get_output_embeddings()
    if not isinstance(head, nn.Linear):
        raise TrainingError(
            f"{type(model).__name__} has no linear output embedding, so its log-probabilities cannot be "
            "computed in chunks; use a decoder-only causal language model"
        )
    return head


@torch.no_grad()
def _check_logits(policy: TransformersPolicy) -> None:
    """Refuse models that change their logits after the output embedding (soft caps, scales)."""
    model, head = policy.model, policy.head
    config = model.config.get_text_config()
    ids_BL = torch.arange(_PROBE, device=policy.device)[None] % head.weight.shape[0]
    inputs = {"input_ids": ids_BL, "attention_mask": torch.ones_like(ids_BL), "use_cache": False}
    ours_BLV = head(policy.base(**inputs).last_hidden_state).float()
    close = 1e-4 * float(ours_BLV.abs().max())
    # Near zero, a soft cap changes too little to be seen in a trial.
    capped = getattr(config, "final_logit_softcapping", None)
    if capped or not torch.allclose(ours_BLV, model(**inputs).logits.float(), rtol=0, atol=close):
        named = {
            key: value
            for key, value in config.to_dict().items()
            if "logit" in key and value not in (None, False)
        }
        raise TrainingError(
            f"{type(model).__name__} changes its logits after the output embedding "
            f"({named or 'not by a setting'}), which the local backend does not reproduce; use another model"
        )


@torch.no_grad()
def _check_cache(policy: TransformersPolicy) -> None:
    """Refuse architectures without a cache whose rows can be selected (state space models)."""
    ids_BL = torch.zeros(1, 1, dtype=torch.long, device=policy.device)
    out = policy.base(input_ids=ids_BL, attention_mask=torch.ones_like(ids_BL), use_cache=True)
    if not hasattr(getattr(out, "past_key_values", None), "batch_select_indices"):
        raise TrainingError(
            f"{type(policy.model).__name__} has no cache of keys and values to decode with; use a transformer"
        )
