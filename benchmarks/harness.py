"""Runs benchmarks and keeps what they found: the way every `python -m benchmarks...` goes."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.measured import RESULTS, CannotRunError, Measured, keep, part

Measure = Callable[[argparse.Namespace], Measured]
Table = Callable[[Measured], str]
SMALL = "a size that ends in seconds; its figures say nothing of speed and are kept only with --results"


def parser(description: str | None) -> argparse.ArgumentParser:
    """A benchmark's command line with what all of them take; the benchmark adds its own options."""
    found = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    found.add_argument("--small", action="store_true", help=SMALL)
    found.add_argument("--results", type=Path, help="folder of the JSON file (benchmarks/results)")
    return found


def take(name: str, asked: argparse.Namespace, measure: Measure, table: Table) -> dict[str, Any]:
    """Measure once and print the table; what belongs in the result file under this name.

    Raises:
        CannotRunError: something that the benchmark needs is absent.
    """
    machine.commit()  # Of the code as it was when it was loaded.
    load, began = machine.load(), time.perf_counter()
    found = measure(asked)
    seconds = time.perf_counter() - began
    print("\n".join([f"{name} ({seconds:.0f} s)", table(found), *found.notes, ""]), flush=True)
    settings = {key: value for key, value in vars(asked).items() if key != "results"}
    return part(name, found, settings, load, seconds)


def put_away(parts: dict[str, dict[str, Any]], *, small: bool, folder: Path | None) -> None:
    """Keep the parts in `folder`, by default in benchmarks/results; small ones only in another that is named."""
    if small and folder is not None and folder.resolve() == RESULTS.resolve():
        raise SystemExit(
            "--small says nothing of speed and is not kept among the results; name another folder"
        )
    if small and folder is None:
        print("not kept, since this was a small size; --results FOLDER keeps it")
    elif parts:
        print(f"written to {keep(parts, folder or RESULTS)}")


def alone(
    name: str, options: argparse.ArgumentParser, measure: Measure, table: Table,
    arguments: Sequence[str] | None = None,
) -> None:  # fmt: skip
    """One benchmark by itself: `python -m benchmarks.<name>`."""
    asked = options.parse_args(arguments)
    try:
        found = take(name, asked, measure, table)
    except CannotRunError as error:
        raise SystemExit(f"{name} cannot run here: {error}") from None
    put_away({name: found}, small=asked.small, folder=asked.results)
