"""A short name of a set of weights, exact to the bit."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from torch import Tensor


def digest(weights: Mapping[str, Tensor]) -> str:
    """16 hex digits of all weights by name, as float32."""
    found = hashlib.sha256()
    for name in sorted(weights):
        found.update(name.encode())
        found.update(weights[name].detach().cpu().float().contiguous().numpy().tobytes())
    return found.hexdigest()[:16]
