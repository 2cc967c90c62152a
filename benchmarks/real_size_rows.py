"""What the real-size benchmark writes down: rows, ratios and the table."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.measured import Measured, Ratio
from benchmarks.real_size_work import Cost, Size, parameters, update_operations

PEER, OURS, WHOLE = "TRL", "ours", "ours, all logits at once"


@dataclass(frozen=True)
class Setting:
    """One comparison."""

    device: str
    shape: str
    dtype: str
    size: Size

    def named(self) -> dict[str, Any]:
        """For a row or a ratio."""
        return {"device": self.device, "shape": self.shape, "dtype": self.dtype, "size": self.size.name}


def row(name: str, setting: Setting, costs: list[Cost], threads: int, fastest: float) -> dict[str, Any]:
    """A contestant's medians and peaks; `fastest` is the matrix product's operations a second."""
    size, seconds = setting.size, [cost.seconds for cost in costs]
    generate = statistics.median(cost.generate for cost in costs)
    update = statistics.median(cost.update for cost in costs)
    return {
        "contestant": name, **setting.named(), "threads": threads, "parameters": parameters(setting.shape),
        "rows": size.rows, "prompt": size.prompt, "response": size.response, "micro_rows": size.micro_rows,
        "repetitions": len(costs), "seconds": statistics.median(seconds), "low": min(seconds), "high": max(seconds),
        "cpu": statistics.median(cost.cpu for cost in costs), "generate": generate, "update": update,
        "peak_mb": max(cost.peak_mb for cost in costs),
        "generate_peak_mb": max(cost.generate_peak_mb for cost in costs),
        "generate_tokens_s": size.rows * size.response / generate if generate else None,
        "update_tokens_s": size.tokens / update,
        "ceiling_operations_s": fastest,
        "ceiling_share": update_operations(setting.shape, size) / update / fastest,
    }  # fmt: skip


def ratios(setting: Setting, costs: dict[str, list[Cost]]) -> Iterator[Ratio]:
    """Our memory over the peer's, and its seconds over ours, step by step."""
    if PEER not in costs:
        return
    pairs = list(zip(costs[PEER], costs[OURS], strict=True))
    memory = [ours.peak_mb / peer.peak_mb for peer, ours in pairs]
    yield Ratio.of("our peak memory over TRL's", PEER, setting.named(), memory, target=1.0, better="lower")
    yield Ratio.of(
        "TRL's seconds over ours",
        PEER,
        setting.named(),
        [peer.seconds / ours.seconds for peer, ours in pairs],
    )


def table(measured: Measured) -> str:
    """A line a contestant and setting, then the ratios."""
    lines = [
        f"{'device':6} {'shape':5} {'dtype':8} {'size':14} {'contestant':24} {'s/step':>7} {'MB':>7} "
        f"{'writing MB':>10} {'tokens/s written':>16} {'updated':>8} {'of ceiling':>10}"
    ]
    lines += [
        f"{row['device']:6} {row['shape']:5} {row['dtype']:8} {row['size']:14} {row['contestant']:24} "
        f"{row['seconds']:7.2f} {row['peak_mb']:7.0f} {row['generate_peak_mb']:10.0f} "
        f"{row['generate_tokens_s'] or 0:16.1f} {row['update_tokens_s']:8.1f} {row['ceiling_share']:10.0%}"
        for row in measured.rows
    ]
    lines += [
        f"{ratio.what}, {ratio.setting['dtype']}, {ratio.setting['size']}, {ratio.setting['device']} "
        f"{ratio.setting['shape']}: {ratio.median:.3f} ({ratio.low:.3f} to {ratio.high:.3f})"
        + ("" if ratio.met is None else f", {'met' if ratio.met else 'missed'}: below {ratio.target}")
        for ratio in measured.ratios
    ]
    return "\n".join(lines)
