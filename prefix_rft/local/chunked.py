"""Log-probabilities and entropies of tokens, computed in chunks so that all logits never exist at once.

Axes: n tokens, d width, V vocabulary, c tokens of one chunk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function, once_differentiable
from torch.nn import functional

DEFAULT_BUDGET = 1 << 24
_PRODUCT = 1 << 22
"""Most numbers of the output embedding's gradient that are held twice."""


def token_logprobs(
    hidden_nd: Tensor,
    weight_Vd: Tensor,
    target_n: Tensor,
    *,
    bias_V: Tensor | None = None,
    temperature: float = 1.0,
    with_entropy: bool = False,
    budget: int = DEFAULT_BUDGET,
) -> tuple[Tensor, Tensor | None]:
    """Log-probabilities of targets, and entropies, under softmax((hidden @ weight.T + bias) / temperature).

    Logits are recomputed in the backward pass; the log-softmax is in float32 whatever the inputs' dtype.

    Args:
        hidden_nd: last hidden states.
        weight_Vd: output embedding.
        target_n: int64 token ids.
        bias_V: bias of the output embedding.
        temperature: divides the logits.
        with_entropy: whether to compute entropies.
        budget: most logits (tokens times vocabulary) held at once; at least one token is always done.

    Returns:
        Log-probabilities, and entropies in nats (None unless asked for); float32 [n], both differentiable.
    """
    logp_n, entropy_n = _ChunkedHead.apply(  # type: ignore[no-untyped-call]
        hidden_nd, weight_Vd, bias_V, target_n, temperature, with_entropy, budget
    )
    return logp_n, entropy_n if with_entropy else None


class _ChunkedHead(Function):
    # In both loops no name holds a chunk's logits while the next one's are made.

    @staticmethod
    def forward(
        ctx: Any,
        hidden_nd: Tensor,
        weight_Vd: Tensor,
        bias_V: Tensor | None,
        target_n: Tensor,
        temperature: float,
        with_entropy: bool,
        budget: int,
    ) -> tuple[Tensor, Tensor | None]:
        head = _Head(weight_Vd, bias_V, temperature)
        logp_n = hidden_nd.new_empty(len(target_n), dtype=torch.float32)
        entropy_n = torch.empty_like(logp_n) if with_entropy else None
        for part in head.parts(len(target_n), budget):
            logp_n[part], entropy_c = _values(head.logprobs(hidden_nd[part]), target_n[part], with_entropy)
            if entropy_n is not None and entropy_c is not None:
                entropy_n[part] = entropy_c
        ctx.save_for_backward(hidden_nd, weight_Vd, bias_V, target_n, entropy_n)
        ctx.temperature, ctx.budget = temperature, budget
        ctx.set_materialize_grads(False)
        return logp_n, entropy_n

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_logp_n: Tensor | None, grad_entropy_n: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        hidden_nd, weight_Vd, bias_V, target_n, entropy_n = ctx.saved_tensors
        head = _Head(weight_Vd, bias_V, ctx.temperature)
        sums = _GradientSums(hidden_nd, weight_Vd, bias_V, ctx.needs_input_grad)
        for part in head.parts(len(target_n), ctx.budget):
            grads = (
                None if values is None else values[part]
                for values in (grad_logp_n, grad_entropy_n, entropy_n)
            )
            grad_cV = _logits_gradient(head.logprobs(hidden_nd[part]), target_n[part], *grads)
            sums.add(part, grad_cV.div_(ctx.temperature))
            del grad_cV
        return *sums.finish(), None, None, None, None


@dataclass(frozen=True)
class _Head:
    """The output embedding and what is done to its logits."""

    weight_Vd: Tensor
    bias_V: Tensor | None
    temperature: float

    def parts(self, tokens: int, budget: int) -> list[slice]:
        """Chunks of at most `budget` logits."""
        size = max(1, budget // len(self.weight_Vd))
        return [slice(start, start + size) for start in range(0, tokens, size)]

    def logprobs(self, hidden_cd: Tensor) -> Tensor:
        """Log-probabilities of all tokens; float32 [c, V]."""
        logits_cV = functional.linear(hidden_cd, self.weight_Vd, self.bias_V).float()
        if self.temperature != 1:
            logits_cV.div_(self.temperature)
        return logits_cV.log_softmax(-1)


class _GradientSums:
    """Gradients of the inputs, chunk by chunk.

    Sums over chunks are kept in float32: in bfloat16 the small contributions of later chunks would vanish.
    """

    def __init__(
        self, hidden_nd: Tensor, weight_Vd: Tensor, bias_V: Tensor | None, wants: tuple[bool, ...]
    ) -> None:
        self._inputs = hidden_nd, weight_Vd, bias_V
        self._hidden_nd = torch.empty_like(hidden_nd) if wants[0] else None
        self._weight_Vd = torch.zeros_like(weight_Vd, dtype=torch.float32) if wants[1] else None
        self._bias_V = (
            torch.zeros_like(bias_V, dtype=torch.float32) if wants[2] and bias_V is not None else None
        )

    def add(self, part: slice, grad_cV: Tensor) -> None:
        """Add a chunk, given the gradient of its logits before the temperature."""
        hidden_nd, weight_Vd, _ = self._inputs
        if self._bias_V is not None:
            self._bias_V += grad_cV.sum(0)
        grad_cV = grad_cV.to(hidden_nd.dtype)
        if self._hidden_nd is not None:
            self._hidden_nd[part] = grad_cV @ weight_Vd
        if self._weight_Vd is None:
            return
        if hidden_nd.dtype == torch.float32:
            self._weight_Vd.addmm_(grad_cV.t(), hidden_nd[part])
            return
        # A product in another precision exists beside the sum: of so many tokens of the vocabulary at a time.
        rows = max(1, _PRODUCT // weight_Vd.shape[1])
        for sum_Vd, slice_cV in zip(
            torch.split(self._weight_Vd, rows), torch.split(grad_cV, rows, 1), strict=True
        ):
            sum_Vd += slice_cV.t() @ hidden_nd[part]

    def finish(self) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Gradients of hidden states, weight and bias, in their dtypes."""
        _, weight_Vd, bias_V = self._inputs
        grad_weight_Vd = None if self._weight_Vd is None else self._weight_Vd.to(weight_Vd.dtype)
        grad_bias_V = None if self._bias_V is None or bias_V is None else self._bias_V.to(bias_V.dtype)
        return self._hidden_nd, grad_weight_Vd, grad_bias_V


def _values(logp_cV: Tensor, target_c: Tensor, with_entropy: bool) -> tuple[Tensor, Tensor | None]:
    """Log-probabilities of the targets, and entropies."""
    chosen_c = logp_cV.gather(1, target_c[:, None])[:, 0]
    if not with_entropy:
        return chosen_c, None
    return chosen_c, logp_cV.exp().mul_(logp_cV).sum(-1).neg_()


def _logits_gradient(
    logp_cV: Tensor,
    target_c: Tensor,
    grad_logp_c: Tensor | None,
    grad_entropy_c: Tensor | None,
    entropy_c: Tensor | None,
) -> Tensor:
    """Gradient with respect to the logits z of a chunk; overwrites `logp_cV`.

    d logp / dz = onehot - p and d H / dz = -p (log p + H), so the sum is onehot g - p (g + h (log p + H)).
    """
    share_cV = logp_cV.exp()
    if grad_entropy_c is None or entropy_c is None:
        weight_cV = logp_cV.zero_()
    else:
        weight_cV = logp_cV.add_(entropy_c[:, None]).mul_(grad_entropy_c[:, None])
    if grad_logp_c is not None:
        weight_cV.add_(grad_logp_c[:, None])
    grad_cV = weight_cV.mul_(share_cV).neg_()
    if grad_logp_c is not None:
        grad_cV.scatter_add_(1, target_c[:, None], grad_logp_c[:, None])
    return grad_cV
