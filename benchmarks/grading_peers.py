"""The graders that ours is held against, each in a Python of its own that is told the work in a file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.grading_ours import Cost
from benchmarks.grading_work import Work
from eval.lighteval.environment import LightevalError, find

_HERE = Path(__file__).parent


def lighteval_at(setting: Path | None) -> tuple[Path | None, list[str]]:
    """lighteval's Python and a note of its version, or None and a note that says why, and the next step."""
    try:
        found = find(setting)
        return found.python, [f"lighteval {found.version} has a Python of its own."]
    except LightevalError as error:
        return None, [f"lighteval was not measured: {error}"]


def by_lighteval(work: Work, python: Path, ks: Sequence[int] = ()) -> Cost:
    """avg@n of lighteval, and pass@k where some are asked for."""
    found = _told(python, "grading_lighteval.py", work, {"ks": list(ks)})
    return _cost("lighteval", work, found, found["figures"] if ks else {})


def by_math_verify(work: Work) -> Cost:
    """math-verify's parse and verify, response by response."""
    return _cost("math-verify", work, _told(Path(sys.executable), "grading_math_verify.py", work, {}), {})


def _cost(name: str, work: Work, found: dict[str, Any], figures: dict[str, float]) -> Cost:
    return Cost(name, *work.size, 1, found["wall"], found["cpu"], found["correct"], figures=figures)


def _told(python: Path, script: str, work: Work, more: dict[str, Any]) -> dict[str, Any]:
    """What a script says of the work: seconds without imports, and the share of responses it calls correct."""
    with tempfile.TemporaryDirectory() as folder:
        asked, result = Path(folder) / "work.json", Path(folder) / "result.json"
        golds = [gold if "$" in gold else f"${gold}$" for gold in work.gold_Q]
        asked.write_text(json.dumps({"golds": golds, "responses": work.response_QS, **more}))
        done = subprocess.run(
            [python, _HERE / script, asked, result], capture_output=True, text=True, check=False,
            env=os.environ | {"HF_HUB_OFFLINE": "1"},
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{script} ended with exit code {done.returncode}:\n{done.stderr[-4000:]}")
        found: dict[str, Any] = json.loads(result.read_text())
    return found
