"""Peak memory and seconds of a step at the size of Qwen2.5-0.5B, ours against TRL's GRPOTrainer.

    python -m benchmarks.real_size --dtypes float32

Weights are random, since shape alone decides what a step costs. Both contestants have the same rows, micro-batches,
precision (float32 weights and optimizer state; `bfloat16` is that of the passes), AdamW, and no gradient checkpointing.
Each runs alone in a process of its own, one after the other: both at once would not fit. Where PyTorch sees a GPU the
step is measured on it too, with the share that the update has of the fastest matrix product of the same run.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import harness, machine
from benchmarks.measured import CannotRunError, Measured, Ratio
from benchmarks.process import in_process
from benchmarks.real_size_meter import RESET, ceiling
from benchmarks.real_size_rows import OURS, PEER, WHOLE, Setting, ratios, row, table
from benchmarks.real_size_work import Play, Size, Work, make_model

NAME = "real_size"
STEP = Size("rollout step", 2, 4, 16, 16, micro_rows=8, given=False)
LONG = Size("long responses", 1, 2, 16, 256, micro_rows=2, given=True)
SHORT = Size("short update", 1, 2, 2, 2, micro_rows=2, given=True)
"""In bfloat16: a processor without products of it takes half a minute for these eight tokens."""
_SMALL = [
    Size("rollout step", 1, 2, 4, 4, 2, given=False),
    Size("long responses", 1, 2, 4, 16, 1, given=True),
]
_ON_GPU = [
    Size("rollout step", 8, 8, 128, 256, micro_rows=16, given=False),
    Size("long responses", 4, 4, 128, 2048, micro_rows=4, given=True),
]
_GIGABYTES = {"0.5B": 16, "1.5B": 32, "small": 1}
"""Of memory that a process of that shape may take; less free memory than that is refused."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = harness.parser(__doc__)
    found.add_argument("--device", choices=("cpu", "cuda"), nargs="+", help="by default all there are")
    dtypes = "precision of the passes; cpu: float32, and bfloat16 where the processor has it; cuda: bfloat16"
    found.add_argument("--dtypes", choices=("float32", "bfloat16"), nargs="+", help=dtypes)
    found.add_argument("--all-logits", action="store_true", help="add our step with all logits at once")
    found.add_argument("--shapes", choices=("0.5B", "1.5B"), nargs="+", help="cpu: 0.5B; cuda: both")
    found.add_argument("--threads", type=int, default=machine.cores())
    found.add_argument(
        "--repetitions", type=int, default=5, help="counted steps of each contestant and setting"
    )
    return found


def measure(asked: argparse.Namespace) -> Measured:
    """Every setting, its contestants one after the other.

    Raises:
        CannotRunError: a device, TRL's peer apart, or the memory is not there.
    """
    devices = asked.device or (["cpu", "cuda"] if has_gpu() else ["cpu"])
    for device in devices:
        refuse(device)
    parts = [_on_device(device, asked) for device in devices]
    notes = [note for part in parts for note in part.notes]
    if "cpu" in devices and not (asked.dtypes or _has_bfloat16()):
        notes.append(
            "bfloat16: not measured on this processor, which has no products of it; --dtypes bfloat16 does"
        )
    if "cuda" not in devices:
        notes.append("cuda: not measured, since PyTorch sees no GPU here; run this on a machine with one")
    return Measured(*_joined(parts), list(dict.fromkeys(notes)))


def has_gpu() -> bool:
    """Whether PyTorch sees a GPU."""
    import torch

    return torch.cuda.is_available()


def refuse(device: str) -> None:
    """Raise where the device or the means to measure its memory are absent.

    Raises:
        CannotRunError: says what is absent.
    """
    if device == "cuda" and not has_gpu():
        raise CannotRunError(
            "real_size --device cuda needs a GPU and a CUDA build of PyTorch; leave --device out, or use a machine "
            "with one"
        )
    if device == "cpu" and not RESET.is_file():
        raise CannotRunError("real_size on a CPU reads the peak of resident memory from Linux's /proc")


def settings(device: str, asked: argparse.Namespace) -> list[Setting]:
    """What is compared on a device."""
    dtypes = asked.dtypes or default_dtypes(device)
    if asked.small:
        return [Setting(device, "small", dtype, size) for dtype in dtypes for size in _SMALL]
    if device == "cuda":
        shapes = asked.shapes or ["0.5B", "1.5B"]
        return [Setting(device, shape, d, size) for shape in shapes for d in dtypes for size in _ON_GPU]
    sizes = {"float32": [STEP, LONG], "bfloat16": [SHORT]}
    shapes = asked.shapes or ["0.5B"]
    return [Setting(device, s, dtype, size) for s in shapes for dtype in dtypes for size in sizes[dtype]]


def default_dtypes(device: str) -> list[str]:
    """The precisions that are fast enough there to be worth a measurement."""
    if device == "cuda":
        return ["bfloat16"]
    return ["float32", "bfloat16"] if _has_bfloat16() else ["float32"]


def _has_bfloat16() -> bool:
    """Whether the processor says that it multiplies in bfloat16 (Linux)."""
    info = Path("/proc/cpuinfo")
    return info.is_file() and re.search(r"\b(avx512_bf16|amx_bf16|bf16)\b", info.read_text()) is not None


def contestants(setting: Setting, all_logits: bool) -> tuple[dict[str, Play], list[str]]:
    """By name, and what is said of an absent one."""
    from benchmarks import real_size_ours, real_size_trl

    found: dict[str, Play] = {OURS: real_size_ours.contestant()}
    if all_logits and setting.size.given:
        found[WHOLE] = real_size_ours.contestant(logits_budget=1 << 40)
    if importlib.util.find_spec("trl") is None:
        return found, ["TRL is not installed, so there is no ratio: pip install -e '.[bench]'"]
    return {PEER: real_size_trl.play, **found}, []


def compete(
    setting: Setting, plays: dict[str, Play], model: Path, *, threads: int, repetitions: int
) -> Measured:
    """The contestants' steps, one contestant after the other; the logits' own row takes a single step."""
    work = Work(model, setting.size, setting.dtype, setting.device, repetitions)
    fastest = in_process(ceiling, setting.device, setting.dtype, threads=threads)
    costs = {}
    for name, play in plays.items():
        asked = replace(work, steps=1) if name == WHOLE else work
        costs[name] = in_process(play, asked, threads=threads)
    rows = [row(name, setting, taken, threads, fastest) for name, taken in costs.items()]
    return Measured(rows, list(ratios(setting, costs)))


def _on_device(device: str, asked: argparse.Namespace) -> Measured:
    parts, notes = [], []
    chosen = settings(device, asked)
    for setting in chosen:
        _refuse_memory(setting)
    for shape in dict.fromkeys(setting.shape for setting in chosen):
        with tempfile.TemporaryDirectory() as folder:
            model = make_model(Path(folder), shape)
            for setting in chosen:
                if setting.shape == shape:
                    plays, absent = contestants(setting, asked.all_logits)
                    notes += absent
                    parts.append(
                        compete(setting, plays, model, threads=asked.threads, repetitions=asked.repetitions)
                    )
    return Measured(*_joined(parts), [*notes, *_NOTES])


def _joined(parts: list[Measured]) -> tuple[list[dict[str, Any]], list[Ratio]]:
    """All rows and all ratios."""
    return [row for part in parts for row in part.rows], [ratio for part in parts for ratio in part.ratios]


_NOTES = (
    "real_size: the contestants run one after the other, so other load on the machine need not meet them alike; memory "
    "does not depend on it.",
    "real_size: TRL's own default is gradient checkpointing, which is off here on both sides: the embedded trainer has "
    "none.",
)


def _refuse_memory(setting: Setting) -> None:
    """Raise before a process that would be killed.

    Raises:
        CannotRunError: there is too little free memory.
    """
    if setting.device != "cpu":
        return
    lines = Path("/proc/meminfo").read_text().splitlines()
    free = next(float(line.split()[1]) for line in lines if line.startswith("MemAvailable")) / 1e6
    if free < _GIGABYTES[setting.shape]:
        raise CannotRunError(
            f"real_size with {setting.shape} needs {_GIGABYTES[setting.shape]} GB of free memory; {free:.1f} GB are "
            "free. End what takes it, or use a larger machine"
        )


if __name__ == "__main__":
    harness.alone(NAME, parser(), measure, table)
