"""The sweep of the orchestration benchmark: `main_results` with two methods, many fractions and many seeds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

SWEEP = "main_results"
_METHODS = ("rft", "prefix_rft")


@dataclass(frozen=True)
class Grid:
    """Rows of the table, each a method on a fraction of the questions, times training seeds."""

    cells: int

    @property
    def rows(self) -> int:
        """The largest even number of rows up to the root of the cells that leaves whole seeds: both axes grow."""
        most = max(2, math.isqrt(self.cells))
        return max(rows for rows in range(2, most + 1, 2) if self.cells % rows == 0)

    @property
    def seeds(self) -> int:
        """Of every row."""
        return self.cells // self.rows

    def overrides(self, store: Path) -> list[str]:
        """The command line behind the sweep's name."""
        fractions = [f"{(place + 1) / (self.rows // 2):.6g}" for place in range(self.rows // 2)]
        return [
            f"method={','.join(_METHODS)}",
            f"data.fraction={','.join(fractions)}",
            f"seed=range(0,{self.seeds})",
            f"store={store}",
        ]
