"""Where a demonstration is cut: the keyed draw of a hybrid rollout's prefix length, in tokens."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from prefix_rft import keyed
from prefix_rft.errors import DataError
from prefix_rft.schedule import draw_share
from prefix_rft.settings.schedule import PrefixSchedule

if TYPE_CHECKING:
    from prefix_rft.rollout import StepContext


def prefix_length(
    schedule: PrefixSchedule,
    demonstration_length: int,
    *,
    question_id: str,
    prefix_id: int,
    at: StepContext,
    min_tokens: int,
    max_response_tokens: int,
) -> int:
    """Draw L, the imitated tokens of one hybrid rollout.

    The draw belongs to (seed, question id, rollout step, prefix id) alone: worker count, batch order and
    resumption cannot change it.

    Raises:
        DataError: demonstration or response budget is too short to hold a prefix and something to write.
    """
    rng = keyed.generator("prefix", at.seed, question_id, at.step, prefix_id)
    share = draw_share(schedule, at.step, at.total_steps, rng)
    with naming(question_id):
        return cut(share, demonstration_length, min_tokens, max_response_tokens)


@contextmanager
def naming(question_id: str) -> Iterator[None]:
    """While it lasts, a DataError names the question."""
    try:
        yield
    except DataError as error:
        raise DataError(f"question {question_id!r}: {error}") from None


def cut(share: float, demonstration_length: int, min_tokens: int, max_response_tokens: int) -> int:
    """floor(share * |y*|), at least `min_tokens`, and always leaving something to write.

    The upper bounds win over `min_tokens`: at most |y*| - 1 (the end-of-sequence token is never imitated) and
    at most `max_response_tokens` - 1.

    Args:
        share: l, the share of the demonstration's tokens.
        demonstration_length: |y*|, tokens of the demonstration, end-of-sequence included.
        min_tokens: shortest prefix wanted.
        max_response_tokens: response budget, prefix included.

    Raises:
        DataError: not even one token can be imitated.
    """
    most = min(demonstration_length, max_response_tokens) - 1
    if most < 1:
        raise DataError(
            f"a demonstration of {demonstration_length} token(s) cannot give a prefix under "
            f"max_response_tokens={max_response_tokens}: both must be at least 2. "
            "Drop the demonstration or raise the budget."
        )
    # 0.29 * 100 is 28.999999999999996: rounding first keeps the token that was meant.
    return min(most, max(min_tokens, math.floor(round(share * demonstration_length, 9))))
