"""math-verify used naively over a file of responses: SCRIPT WORK RESULT.

One process, a plain loop, math-verify's own settings and time limits: a gold answer is parsed once a problem, every
response is parsed and verified. RESULT gets the seconds, imports left out, and the share of correct responses.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from math_verify import parse, verify


def main(work: Path, result: Path) -> None:
    asked = json.loads(work.read_text())
    parse("$1$")  # What is loaded at the first use is not what is measured.
    correct, graded = 0, 0
    wall, cpu = time.perf_counter(), time.process_time()
    for gold, responses in zip(asked["golds"], asked["responses"], strict=True):
        answer = parse(gold)
        for response in responses:
            correct += verify(answer, parse(response))
            graded += 1
    seconds = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    result.write_text(json.dumps({**seconds, "correct": correct / graded}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
