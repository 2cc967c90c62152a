"""How a response is graded: reward in training, verdict in evaluation."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from prefix_rft.settings.base import Settings

ExtractionRule = Literal[
    "last_boxed", "last_boxes", "after_marker", "conclusion", "last_number", "last_line", "whole"
]
Think = Literal["whole", "after_close", "required"]

_YOUNGER = frozenset({"think", "scientific"})


class GradingSettings(Settings):
    """Extraction of the final answer, verification against the gold answer, and their limits."""

    extract: tuple[ExtractionRule, ...] = ("last_boxed",)
    """Rules tried in order; the first that finds something gives the answer."""
    marker: str | tuple[str, ...] = "####"
    """What stands before the answer for the rule `after_marker` (its last occurrence counts); of several the
    first that occurs."""
    think: Think = "whole"
    """What is graded. whole: the response; after_close: what follows the last `</think>`, the whole response where
    there is none; required: what follows it, and no answer where there is none."""
    verifier: Literal["math_verify", "exact"] = "math_verify"
    """math_verify: mathematical equality by math-verify, or the same string; exact: the same string only."""
    scientific: bool = False
    """Read scientific notation (3e8, 3\\times10^8) in gold answer and response, so that one number is equal in all its
    forms; math-verify alone reads 3e8 as a product with Euler's number."""
    timeout_seconds: float = Field(5.0, gt=0)
    """Wall-clock limit of one verdict; a worker past it is killed and the verdict is `timeout`."""
    memory_mb: int = Field(2048, ge=256)
    """Address space of one grading worker, in MiB."""
    workers: int = Field(1, ge=1)
    """Grading processes (used by math_verify only; an exact comparison runs in the calling process)."""

    @property
    def markers(self) -> tuple[str, ...]:
        """`marker` as a tuple, whether one or several were given."""
        return (self.marker,) if isinstance(self.marker, str) else self.marker

    @model_validator(mode="after")
    def has_rules(self) -> Self:
        """Refuse settings by which no answer could be found."""
        if not self.extract:
            raise ValueError("extract names no rule; give at least one, e.g. [last_boxed]")
        if "after_marker" in self.extract and (not self.markers or not all(self.markers)):
            raise ValueError("extract names after_marker but marker is empty")
        return self

    @model_validator(mode="after")
    def reads_what_it_compares(self) -> Self:
        if self.scientific and self.verifier == "exact":
            raise ValueError("scientific=true reads numbers, which verifier=exact does not; use math_verify")
        return self

    @model_serializer(mode="wrap")
    def names_what_departs(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Fields younger than the first runs are named only where they are set: those runs keep their names."""
        values: dict[str, Any] = dump(self)
        fields = type(self).model_fields
        return {
            name: value
            for name, value in values.items()
            if name not in _YOUNGER or getattr(self, name) != fields[name].default
        }
