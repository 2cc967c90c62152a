"""What gradients must be, in plain PyTorch on the model of `transformers`: one pass over all rows, nothing split.

Axes: B rows, L tokens of prompt and response, T response tokens, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from prefix_rft.audit.backends import Computed, Gradient
from prefix_rft.audit.cases import Case
from prefix_rft.objective import PpoClip, surrogate
from prefix_rft.rollout import TokenWeights
from prefix_rft.settings import RlPhase

_IGNORED = -100


@dataclass(frozen=True)
class Sums:
    """Gradients of summed token losses, by parameter name."""

    explored: Gradient
    imitated: Gradient


class PlainModel:
    """The starting model, run by `transformers`."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging

        logging.disable_progress_bar()
        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def cross_entropy(self, case: Case) -> Computed:
        """Loss and gradient of `torch.nn.functional.cross_entropy`, a mean over all response tokens."""
        ids_BL = case.responses.ids_BL
        labels_BL = torch.full_like(ids_BL, _IGNORED)
        for b, (start, end) in enumerate(_spans(case)):
            labels_BL[b, start:end] = ids_BL[b, start:end]
        logits_BLV = self._model(ids_BL).logits
        loss = functional.cross_entropy(
            logits_BLV[:, :-1].flatten(0, 1), labels_BL[:, 1:].flatten(), ignore_index=_IGNORED
        )
        return Computed(float(loss.detach()), [self._gradient(loss)])

    @torch.no_grad()
    def weights(self, case: Case) -> TokenWeights:
        """The method's weights of all rows as one mini-batch."""
        return _weights(case, self._logprobs(case)[1])

    def sums(self, case: Case, share_BT: Tensor) -> Sums:
        """Gradients of the summed losses of explored and of imitated tokens before anything has moved (ratio 1).

        Args:
            case: the method and its responses.
            share_BT: multiplies the token losses.
        """
        batch, method = case.responses.batch, case.method
        logp_BT, entropy_BT = self._logprobs(case)
        loss_BT = share_BT * (
            surrogate(
                logp_BT,
                logp_BT.detach(),
                _weights(case, entropy_BT.detach()),
                response_BT=batch.response_BT(),
                imitated_BT=batch.imitated_BT(),
                imitation=method.imitation,
                clip=replace(PpoClip(), explored=method.clips_explored),
            ).loss_BT
        )
        return Sums(
            self._gradient(loss_BT[batch.explored_BT()].sum(), keep_graph=True),
            self._gradient(loss_BT[batch.imitated_BT()].sum()),
        )

    def _logprobs(self, case: Case) -> tuple[Tensor, Tensor]:
        """Log-probabilities and entropies of the response tokens; [B, T] both, zeros beyond a response."""
        temperature = case.phase.temperature if isinstance(case.phase, RlPhase) else 1.0
        ids_BL = case.responses.ids_BL
        logp_BLV = (self._model(ids_BL).logits / temperature).log_softmax(-1)
        shape = (len(case.responses.batch), case.responses.batch.width)
        chosen_BT, entropy_BT = torch.zeros(shape), torch.zeros(shape)
        for b, (start, end) in enumerate(_spans(case)):
            logp_TV = logp_BLV[b, start - 1 : end - 1]
            chosen_BT[b, : end - start] = logp_TV.gather(-1, ids_BL[b, start:end, None])[:, 0]
            entropy_BT[b, : end - start] = -(logp_TV.exp() * logp_TV).sum(-1)
        return chosen_BT, entropy_BT

    def _gradient(self, loss: Tensor, *, keep_graph: bool = False) -> Gradient:
        parameters = dict(self._model.named_parameters())
        found = torch.autograd.grad(loss, list(parameters.values()), retain_graph=keep_graph)
        return dict(zip(parameters, found, strict=True))


def _weights(case: Case, entropy_BT: Tensor) -> TokenWeights:
    wanted = entropy_BT if case.method.wants_entropy else None
    return case.method.weights(case.responses.batch, wanted, case.at, 0)


def _spans(case: Case) -> list[tuple[int, int]]:
    """First token of each row's response, and the one after its last."""
    start_B, length_B = case.responses.prompt_length_B, case.responses.batch.response_length_B
    return list(zip(start_B.tolist(), (start_B + length_B).tolist(), strict=True))
