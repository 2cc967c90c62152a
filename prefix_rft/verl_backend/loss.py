"""The loss that verl's workers compute (`set_loss_fn`): the surrogate of `prefix_rft.objective`, and nothing else.

Axes: B rows of a micro-batch, T response tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tensordict import TensorDict
from torch import Tensor
from verl.utils.metric import AggregationType, Metric
from verl.workers.utils.padding import no_padding_2_padding

from prefix_rft.methods import Method
from prefix_rft.objective import ImitationRule, PpoClip, entropy_bonus, surrogate
from prefix_rft.rollout import TokenWeights
from prefix_rft.settings import RlPhase, SftPhase

COLUMNS = ("alpha", "beta", "scale", "imitated")
"""What the trainer stores beside verl's own columns, one value for each response token."""


def method_loss(method: Method, phase: SftPhase | RlPhase) -> MethodLoss:
    """A method's loss as it is optimised."""
    if not isinstance(phase, RlPhase):
        return MethodLoss(method.imitation, PpoClip(explored=method.clips_explored))
    clip = PpoClip(phase.clip_low, phase.clip_high, phase.dual_clip, explored=method.clips_explored)
    return MethodLoss(method.imitation, clip, phase.entropy_coefficient)


@dataclass(frozen=True)
class MethodLoss:
    """A method's loss of one micro-batch; every weight and scale was fixed for the whole mini-batch before."""

    imitation: ImitationRule
    clip: PpoClip
    entropy_coefficient: float = 0.0

    def __call__(
        self, model_output: dict[str, Any], data: TensorDict, dp_group: Any = None
    ) -> tuple[Tensor, dict[str, Any]]:
        """The micro-batch's loss, and sums that add up over micro-batches and workers.

        verl averages gradients over its data-parallel workers, so the loss is multiplied by their number: the mini-
        batch's gradient is then the sum over its rows, wherever each was computed.
        """
        logp_BT = no_padding_2_padding(model_output["log_probs"], data)
        workers = int(data["dp_size"])
        found = data.select("response_mask", "old_log_probs", *COLUMNS).to_padded_tensor()
        weights = TokenWeights(alpha_BT=found["alpha"], beta_BT=found["beta"])
        imitated_BT = found["imitated"].bool()
        losses = surrogate(
            logp_BT,
            found["old_log_probs"],
            weights,
            response_BT=(weights.alpha_BT != 0) | (weights.beta_BT != 0),
            imitated_BT=imitated_BT,
            imitation=self.imitation,
            clip=self.clip,
        )
        loss_BT = losses.loss_BT
        if self.entropy_coefficient:
            explored_BT = found["response_mask"].bool() & ~imitated_BT
            entropy_BT = no_padding_2_padding(model_output["entropy"], data)
            loss_BT = loss_BT + entropy_bonus(entropy_BT, explored_BT, self.entropy_coefficient)
        sums = {"clipped": losses.clipped, "log_ratio": losses.log_ratio, "ratio_tokens": losses.tokens}
        return (loss_BT * found["scale"]).sum() * workers, {
            name: Metric(AggregationType.SUM, float(value) * workers) for name, value in sums.items()
        }
