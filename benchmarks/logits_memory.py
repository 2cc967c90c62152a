"""Memory and time of log-probabilities and entropies over a large vocabulary, forward and backward.

    python -m benchmarks.logits_memory --plain

Each computation runs in a process of its own; what is reported is its peak of resident memory beyond the
inputs, gradients included.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from prefix_rft.local.chunked import DEFAULT_BUDGET, token_logprobs

PEAK = Path("/proc/self/clear_refs")
"""Writing 5 to it starts the peak of resident memory anew at what is resident now (Linux)."""


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


def chunked(hidden_nd: Tensor, weight_Vd: Tensor, target_n: Tensor, budget: int) -> Tensor:
    logp_n, entropy_n = token_logprobs(hidden_nd, weight_Vd, target_n, with_entropy=True, budget=budget)
    assert entropy_n is not None
    return logp_n.mean() + entropy_n.mean()


def plain(hidden_nd: Tensor, weight_Vd: Tensor, target_n: Tensor, budget: int) -> Tensor:
    logp_nV = (hidden_nd @ weight_Vd.t()).log_softmax(-1)
    entropy_n = -(logp_nV.exp() * logp_nV).sum(-1)
    return logp_nV.gather(1, target_n[:, None]).mean() + entropy_n.mean()


COMPUTATIONS = {"chunked": chunked, "plain": plain}


def measure(computation: str, size: Size, threads: int) -> dict[str, float]:
    """Peak megabytes beyond the inputs, and seconds, in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure_here, (computation, size, threads))


def _measure_here(computation: str, size: Size, threads: int) -> dict[str, float]:
    torch.set_num_threads(threads)
    random = torch.Generator().manual_seed(0)
    hidden_nd = torch.randn(size.tokens, size.width, generator=random, requires_grad=True)
    weight_Vd = torch.randn(size.vocabulary, size.width, generator=random, requires_grad=True)
    target_n = torch.randint(0, size.vocabulary, (size.tokens,), generator=random)
    # Once on little, since loading the kernels' code is not what is measured.
    COMPUTATIONS[computation](hidden_nd[:1], weight_Vd[:8], target_n[:1] % 8, size.budget).backward()  # type: ignore[no-untyped-call]
    hidden_nd.grad = weight_Vd.grad = None
    PEAK.write_text("5")
    before, started = _peak_mb(), time.perf_counter()
    COMPUTATIONS[computation](hidden_nd, weight_Vd, target_n, size.budget).backward()  # type: ignore[no-untyped-call]
    return {"peak_extra_mb": _peak_mb() - before, "seconds": time.perf_counter() - started}


def _peak_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024 / 1e6


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--vocabulary", type=int, default=151_936)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--budget", type=int, default=DEFAULT_BUDGET, help="most logits at once")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--plain", action="store_true", help="measure the plain computation too (about 4 logits)"
    )
    parser.add_argument("--json", action="store_true", help="print the chunked figures as one JSON object")
    asked = parser.parse_args(arguments)
    size = Size(asked.tokens, asked.vocabulary, asked.width, asked.budget)
    found = {name: measure(name, size, asked.threads) for name in ["chunked"] + ["plain"] * asked.plain}
    if asked.json:
        print(json.dumps({**asdict(size), "logits_mb": size.logits_mb, **found["chunked"]}))
        return
    print(f"{size.tokens} tokens, vocabulary {size.vocabulary}: all logits {size.logits_mb:.0f} MB")
    for name, values in found.items():
        share = values["peak_extra_mb"] / size.logits_mb
        print(f"{name:8} {values['peak_extra_mb']:8.0f} MB = {share:.3f} of all, {values['seconds']:.1f} s")


if __name__ == "__main__":
    main()
