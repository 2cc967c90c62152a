"""Fuzzes the targets with atheris, which follows the branches taken: `make fuzz SECONDS=60`.

`python tests/fuzz/atheris_targets.py FOLDER SECONDS [TARGET ...]` gives every target that many seconds in a process
of its own; corpus, dictionary and what broke a promise (crash-*, timeout-*, oom-*) stay below FOLDER. It ends with 1
if any did.
A crash is repeated by `python tests/fuzz/atheris_targets.py --once TARGET FILE`.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
OURS = ["prefix_rft", "experiments", "eval", "targets"]
SLOWEST_SECONDS = 3.0
"""Processor time of one input; instrumented code takes about three times as long as other code."""


def main() -> int:
    """Entry point; returns the exit code."""
    if sys.argv[1] == "--once":
        return _once(sys.argv[2], sys.argv[3:])
    folder, seconds, asked = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    from targets import TARGETS

    broken = [name for name in asked or TARGETS if not _fuzz(name, folder / name, seconds)]
    print(f"{len(asked or TARGETS)} targets, {seconds} s each; broken: {', '.join(broken) or 'none'}")
    return 1 if broken else 0


def _fuzz(name: str, folder: Path, seconds: int) -> bool:
    corpus = folder / "corpus"
    _write_seeds(name, folder, corpus)
    limits = [
        f"-max_total_time={seconds}",
        "-timeout=60",
        "-rss_limit_mb=3072",
        "-max_len=4096",
        "-print_final_stats=1",
    ]
    places = [f"-dict={folder / 'words.dict'}", f"-artifact_prefix={folder}/"]
    done = subprocess.run(
        [sys.executable, __file__, "--once", name, str(corpus), *places, *limits],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    (folder / "log").write_text(done.stdout)
    runs = [line.split()[-1] for line in done.stdout.splitlines() if "number_of_executed_units" in line]
    print(
        f"{name:22} {'kept' if done.returncode == 0 else 'BROKEN'}  {runs[0] if runs else '?'} inputs",
        flush=True,
    )
    return done.returncode == 0


def _write_seeds(name: str, folder: Path, corpus: Path) -> None:
    from corpus import JSON, SEEDS, WORDS

    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS[name]):
        (corpus / f"seed-{number}").write_bytes(seed.encode("utf-8", "surrogatepass"))
    words = [word.encode("utf-8", "surrogatepass") for word in WORDS.get(name, JSON)]
    quoted = ["".join(f"\\x{byte:02x}" for byte in word) for word in words]
    (folder / "words.dict").write_text("".join(f'"{word}"\n' for word in quoted))


def _once(name: str, flags: list[str]) -> int:
    import atheris

    with atheris.instrument_imports(include=OURS):
        from targets import TARGETS

    def timed(raw: bytes) -> None:
        began = time.thread_time()
        TARGETS[name](raw)
        assert time.thread_time() - began < SLOWEST_SECONDS, f"{len(raw)} bytes take too long"

    atheris.Setup([sys.argv[0], *flags], timed)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
