"""Write the manifest of a benchmark from a file known to be the published set, and print its digest for the registry.

python -m eval.benchmarks.write <folder with the JSONL files> <name> [<name> ...]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from eval.benchmarks.digests import content_digest, entry, manifest_text
from eval.benchmarks.load import read
from eval.benchmarks.registry import select
from prefix_rft.runs.atomic import write_text

MANIFESTS = Path(__file__).parent / "manifests"


def main(arguments: Sequence[str]) -> None:
    """Write one manifest for each name."""
    folder, *names = arguments
    for benchmark in select(names):
        entries = [entry(problem, benchmark.answer) for problem in read(benchmark, Path(folder))]
        write_text(MANIFESTS / f"{benchmark.name}.json", manifest_text(benchmark.name, entries))
        print(f"{benchmark.name}: {len(entries)} problems, digest {content_digest(entries)}")


if __name__ == "__main__":
    main(sys.argv[1:])
