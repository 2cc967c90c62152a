"""Memory and time of log-probabilities and entropies over a large vocabulary, forward and backward.

    python -m benchmarks.logits_memory --tokens 2048

`chunked` is what the embedded trainer computes, `plain` is PyTorch's log_softmax over all logits. Each computation runs
in a process of its own, in turn; what is reported is its peak of resident memory beyond the inputs, gradients included.
A repetition is one run of each, and a ratio is the median of the repetitions' ratios.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import harness, machine
from benchmarks.measured import CannotRunError, Measured, Ratio
from prefix_rft.settings import LocalBackend

if TYPE_CHECKING:
    from torch import Tensor

NAME = "logits_memory"
CHUNKED, PLAIN = "chunked", "plain"
PEER = "log_softmax over all logits"
PEAK = Path("/proc/self/clear_refs")
"""Writing 5 to it starts the peak of resident memory anew at what is resident now (Linux)."""
SMALL = {"tokens": 256, "vocabulary": 10_000, "width": 8, "budget": 1 << 18, "repetitions": 1}


@dataclass(frozen=True)
class Size:
    tokens: int
    vocabulary: int
    width: int
    budget: int
    """Most logits at once (chunked only)."""

    @property
    def logits_mb(self) -> float:
        """Megabytes of the full logits in float32."""
        return self.tokens * self.vocabulary * 4 / 1e6


def measure(asked: argparse.Namespace) -> Measured:
    """Both computations in turn.

    Raises:
        CannotRunError: this system does not tell the peak of a process's memory.
    """
    if asked.small:
        vars(asked).update(SMALL)
    if not PEAK.is_file():
        raise CannotRunError(f"the peak of memory is read from {PEAK}, which Linux has; run it on Linux")
    size = size_of(asked)
    found = [
        {name: run(name, size, asked.threads) for name in (PLAIN, CHUNKED)} for _ in range(asked.repetitions)
    ]
    setting = {"tokens": size.tokens, "vocabulary": size.vocabulary, "threads": asked.threads}
    rows = [_row(name, size, asked.threads, [turn[name] for turn in found]) for name in (PLAIN, CHUNKED)]
    ratios = [
        Ratio.of(
            f"{what}, over ours", PEER, setting, [turn[PLAIN][key] / turn[CHUNKED][key] for turn in found]
        )
        for key, what in (("peak_extra_mb", "peak of memory"), ("seconds", "seconds"))
    ]
    return Measured(rows, ratios)


def size_of(asked: argparse.Namespace) -> Size:
    return Size(asked.tokens, asked.vocabulary, asked.width, asked.budget)


def _row(name: str, size: Size, threads: int, found: Sequence[dict[str, float]]) -> dict[str, Any]:
    peaks, seconds = [turn["peak_extra_mb"] for turn in found], [turn["seconds"] for turn in found]
    peak = statistics.median(peaks)
    return {
        "name": name, **asdict(size), "threads": threads, "repetitions": len(found),
        "logits_mb": size.logits_mb, "peak_extra_mb": peak, "low_mb": min(peaks), "high_mb": max(peaks),
        "share_of_logits": peak / size.logits_mb,
        "seconds": statistics.median(seconds), "low": min(seconds), "high": max(seconds),
    }  # fmt: skip


def run(computation: str, size: Size, threads: int) -> dict[str, float]:
    """Peak megabytes beyond the inputs, and seconds, in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_run_here, (computation, size, threads))


def chunked(hidden_nd: Tensor, weight_Vd: Tensor, target_n: Tensor, budget: int) -> Tensor:
    from prefix_rft.local.chunked import token_logprobs

    logp_n, entropy_n = token_logprobs(hidden_nd, weight_Vd, target_n, with_entropy=True, budget=budget)
    assert entropy_n is not None
    return logp_n.mean() + entropy_n.mean()


def plain(hidden_nd: Tensor, weight_Vd: Tensor, target_n: Tensor, budget: int) -> Tensor:
    logp_nV = (hidden_nd @ weight_Vd.t()).log_softmax(-1)
    entropy_n = -(logp_nV.exp() * logp_nV).sum(-1)
    return logp_nV.gather(1, target_n[:, None]).mean() + entropy_n.mean()


COMPUTATIONS = {CHUNKED: chunked, PLAIN: plain}


def _run_here(computation: str, size: Size, threads: int) -> dict[str, float]:
    import torch

    torch.set_num_threads(threads)
    random = torch.Generator().manual_seed(0)
    hidden_nd = torch.randn(size.tokens, size.width, generator=random, requires_grad=True)
    weight_Vd = torch.randn(size.vocabulary, size.width, generator=random, requires_grad=True)
    target_n = torch.randint(0, size.vocabulary, (size.tokens,), generator=random)
    # Once on little, since loading the kernels' code is not what is measured.
    COMPUTATIONS[computation](hidden_nd[:1], weight_Vd[:8], target_n[:1] % 8, size.budget).backward()  # type: ignore[no-untyped-call]
    hidden_nd.grad = weight_Vd.grad = None
    PEAK.write_text("5")
    before, started = machine.peak_mb(), time.perf_counter()
    COMPUTATIONS[computation](hidden_nd, weight_Vd, target_n, size.budget).backward()  # type: ignore[no-untyped-call]
    return {"peak_extra_mb": machine.peak_mb() - before, "seconds": time.perf_counter() - started}


def table(measured: Measured) -> str:
    """The rows as text."""
    lines = [
        f"{'':8} {'tokens':>6} {'vocabulary':>10} {'all logits MB':>13} {'peak MB':>8} {'of all':>7} {'s':>7}"
    ]
    lines += [
        f"{row['name']:8} {row['tokens']:6} {row['vocabulary']:10} {row['logits_mb']:13.0f} "
        f"{row['peak_extra_mb']:8.0f} {row['share_of_logits']:7.3f} {row['seconds']:7.2f}"
        for row in measured.rows
    ]
    return "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = harness.parser(__doc__)
    found.add_argument("--tokens", type=int, default=2048)
    found.add_argument("--vocabulary", type=int, default=151_936)
    found.add_argument("--width", type=int, default=64)
    found.add_argument(
        "--budget", type=int, default=LocalBackend().logits_budget, help="most logits at once (chunked only)"
    )
    found.add_argument("--threads", type=int, default=1)
    found.add_argument("--repetitions", type=int, default=5)
    found.add_argument(
        "--json", action="store_true", help="the chunked figures once, as JSON, and nothing else"
    )
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    asked = parser().parse_args(arguments)
    if not asked.json:
        harness.alone(NAME, parser(), measure, table, arguments)
        return
    size = size_of(asked)
    print(json.dumps({**asdict(size), "logits_mb": size.logits_mb, **run(CHUNKED, size, asked.threads)}))


if __name__ == "__main__":
    main()
