"""The model families of the paper: how each is recognised, and what preparing it changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from prefix_rft.errors import DataError
from prefix_rft.models.templates import Template

Config = Mapping[str, Any]
"""What a config.json says."""


@dataclass(frozen=True)
class Positions:
    """How far a model reads, and the base of its rotary position embedding."""

    context: int
    rope_theta: float

    @classmethod
    def of(cls, config: Config) -> Positions | None:
        """What a config.json states, in the old layout or the new; None where it states no context."""
        context = config.get("max_position_embeddings")
        if not isinstance(context, int):
            return None
        rope = config.get("rope_parameters") or {}
        return cls(context, float(rope.get("rope_theta") or config.get("rope_theta") or 10000.0))

    def __str__(self) -> str:
        return f"{self.context} positions at rope_theta={self.rope_theta:g}"


@dataclass(frozen=True)
class Family:
    """Models that are prepared alike."""

    name: str
    model_type: str
    """As config.json has it."""
    positions: Positions
    """What its published models state."""
    extended: Positions | None
    """What they are changed to; None where the context is long enough as it is."""
    template: Template
    """The prompt it gets if nothing else is asked for."""


FAMILIES = (
    Family("qwen2.5-math", "qwen2", Positions(4096, 10_000.0), Positions(16_384, 40_000.0), "luffy"),
    Family("llama-3.1", "llama", Positions(131_072, 500_000.0), None, "plain"),
    Family("qwen3-base", "qwen3", Positions(32_768, 1_000_000.0), None, "luffy"),
)
"""Those of the paper. The extension is LUFFY's (arXiv 2504.14945, which Prefix-RFT follows): rope_theta from 10000 to
40000 and the window from 4096 to 16384, changed in config.json and nowhere else, as Open-R1 does it
(github.com/Simplified-Reasoning/LUFFY, issue 9). The weights learn the new angles in training.
"""


def recognise(config: Config, name: str) -> Family:
    """The family of a model, by what its config.json states.

    Args:
        config: the content of config.json.
        name: the model's name for the error.

    Raises:
        DataError: no family fits, the context is extended already, or it was extended in another way.
    """
    found = Positions.of(config)
    for family in FAMILIES:
        if config.get("model_type") != family.model_type:
            continue
        if family.extended is not None and found == family.extended:
            raise DataError(
                f"{name} is extended already: its config.json states {found}. Use it as it is with model.path=..."
            )
        if found == family.positions:
            _refuse_other_rope(config, family, name)
            return family
    raise DataError(_unknown(config, found, name))


def _refuse_other_rope(config: Config, family: Family, name: str) -> None:
    """Extending changes plain rotary embeddings over the whole context, and nothing else."""
    if family.extended is None:
        return
    rope = {**(config.get("rope_scaling") or {}), **(config.get("rope_parameters") or {})}
    kind = rope.get("rope_type") or rope.get("type") or "default"
    if kind != "default":
        raise DataError(
            f"{name} scales its rotary embedding already (rope type {kind}); prepare the published model"
        )
    if config.get("use_sliding_window"):
        raise DataError(
            f"{name} attends through a sliding window (use_sliding_window=true), so that a longer context would not be "
            "read whole; prepare the published model"
        )


def _unknown(config: Config, found: Positions | None, name: str) -> str:
    known = "; ".join(
        f"{family.name} (model_type={family.model_type}, {family.positions})" for family in FAMILIES
    )
    return (
        f"{name} is of no family that can be prepared: model_type={config.get('model_type')}, "
        f"{found or 'no max_position_embeddings'}. Known: {known}. A model that needs no preparation trains with "
        "model=pretrained model.path=..."
    )
