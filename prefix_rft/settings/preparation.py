"""Settings of the step that turns a published data set into questions; no part of a run's configuration."""

from __future__ import annotations

from typing import Literal

from prefix_rft.settings.base import Settings


class PreparationRules(Settings):
    """What becomes of a row that is not as it should be; each case is counted and listed, whatever the rule.

    The defaults keep all that can train, as the paper does. A row that cannot be read and a question whose prompt
    is too long always go.
    """

    wrong_demonstration: Literal["keep", "drop"] = "keep"
    """A demonstration whose answer the grader finds wrong: kept and marked wrong, or the question stays without it."""
    long_demonstration: Literal["drop", "drop_question"] = "drop"
    """A demonstration beyond `data.max_response_tokens`: the question stays without it, or goes with it."""
    no_demonstration: Literal["keep", "drop"] = "keep"
    """A question with no demonstration, or with none left: kept for its ordinary rollouts, or dropped."""
    repeated_question: Literal["keep", "drop"] = "keep"
    """A question whose text an earlier row has already: kept under its own id, or dropped."""
