"""Every benchmark that this machine can run, one after the other, into one file of results.

    python -m benchmarks                      all of them; what cannot run says why
    python -m benchmarks grading frames       these
    python -m benchmarks --small              all at a size that says nothing of speed, to see that they work

Each has options of its own: python -m benchmarks.<NAME> --help. What was measured is kept after each one, so that a
kill loses the one under way only. docs/benchmarks.md is written from it: python -m benchmarks.page.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.harness import SMALL, put_away, take
from benchmarks.measured import CannotRunError

# To add a benchmark: a module with NAME, parser, measure and table, a line here, a section in docs/benchmarks.md.
NAMES = ("local_step", "scaling", "real_size", "logits_memory", "orchestration", "frames", "grading")

MEASURED, CANNOT, FAILED = "measured", "cannot run here, see above", "failed, see above"


def module(name: str) -> Any:
    """The module of a benchmark; what it needs is imported only now."""
    return import_module(f"benchmarks.{name}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run them; 0 unless one failed, or one that was asked for by name cannot run here."""
    asked = parser().parse_args(arguments)
    outcomes = {name: run(name, small=asked.small, folder=asked.results) for name in asked.names or NAMES}
    print("\n".join(f"{name}: {outcome}" for name, outcome in outcomes.items()))
    bad = {FAILED, CANNOT} if asked.names else {FAILED}
    return int(not bad.isdisjoint(outcomes.values()))


def run(name: str, *, small: bool, folder: Path | None) -> str:
    """Measure one and keep what it found; how that ended."""
    try:
        benchmark = module(name)
        asked = benchmark.parser().parse_args(["--small"] if small else [])
        found = take(name, asked, benchmark.measure, benchmark.table)
    except CannotRunError as error:
        print(f"{name} cannot run here: {error}\n", flush=True)
        return CANNOT
    except Exception:
        # The others are measured all the same, and the exit code says that this one was not.
        traceback.print_exc()
        return FAILED
    put_away({name: found}, small=small, folder=folder)
    return MEASURED


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    found.add_argument("names", nargs="*", metavar="NAME", type=_known, help=", ".join(NAMES))
    found.add_argument("--small", action="store_true", help=SMALL)
    found.add_argument("--results", type=Path, help="folder of the JSON file (benchmarks/results)")
    return found


def _known(name: str) -> str:
    if name not in NAMES:
        raise argparse.ArgumentTypeError(f"no benchmark {name!r}. Known: {', '.join(NAMES)}")
    return name


if __name__ == "__main__":
    sys.exit(main())
