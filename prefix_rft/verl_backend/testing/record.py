"""What inference engines write down in tests: a line of JSON at every synchronisation of weights and every request."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LOG = "log"
"""Key of `rollout.engine_kwargs.<engine>`: the file; without it nothing is written."""


def record(settings: Mapping[str, Any] | None, **line: Any) -> None:
    """Append a line.

    Args:
        settings: the engine's part of `rollout.engine_kwargs`.
        line: what it says.
    """
    file = (settings or {}).get(LOG)
    if file:
        with Path(file).open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(line) + "\n")
