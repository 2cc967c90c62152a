"""Which questions each rollout step takes: a pure function of seed and step, so there is no cursor to save."""

from __future__ import annotations

from dataclasses import dataclass

from prefix_rft import keyed
from prefix_rft.errors import SettingsError


@dataclass(frozen=True)
class QuestionOrder:
    """Epochs of keyed permutations, cut into batches; no question stands twice in a batch."""

    seed: int
    questions: int
    per_step: int
    keep_partial: bool
    """Whether an epoch's last, smaller batch is used (sft) or dropped (rl: groups of equal size)."""

    def __post_init__(self) -> None:
        if self.questions == 0:
            raise SettingsError(
                "there is no training question left to train on; check data.fraction and coverage"
            )
        if self.per_step > self.questions and not self.keep_partial:
            raise SettingsError(
                f"optimisation.rl.questions_per_step={self.per_step} exceeds the {self.questions} training "
                "questions; lower it or raise data.fraction"
            )

    @property
    def steps_per_epoch(self) -> int:
        """Batches of one epoch."""
        return -(-self.questions // self.per_step) if self.keep_partial else self.questions // self.per_step

    def at(self, step: int) -> list[int]:
        """Indices of the questions of rollout step `step` (from 0)."""
        epoch, batch = divmod(step, self.steps_per_epoch)
        order = keyed.generator("order", self.seed, epoch).permutation(self.questions)
        return [int(i) for i in order[batch * self.per_step : (batch + 1) * self.per_step]]
