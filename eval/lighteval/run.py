"""Start lighteval on exported files and read back what it says of every sample."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.lighteval.compare import Comparison, compare
from eval.lighteval.environment import ROOT, Environment, LightevalError
from eval.lighteval.export import Evaluation, export

TASKS = ROOT / "eval" / "lighteval_tasks.py"
HERE = Path(__file__).parent
_MODEL = "replay"
TASK_VARIABLES = ("PREFIX_RFT_BENCHMARKS", "PREFIX_RFT_PROTOCOL", "PREFIX_RFT_SAMPLES")
_LAST_LINES = 15
_INHERITED_NO_MORE = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTHONSTARTUP")


@dataclass(frozen=True)
class Said:
    """What lighteval says of one problem."""

    metrics: Mapping[str, float]
    """By lighteval's names, e.g. `pass@k:k=2&n=4`."""
    verdicts: tuple[bool, ...]
    """Of each sample."""
    answers: tuple[str, ...]
    """What its grader read in each sample."""


@dataclass(frozen=True)
class Report:
    """What lighteval says of one task."""

    metrics: Mapping[str, float]
    """Over all problems, by lighteval's names."""
    problems: Mapping[str, Said]


def replay(
    evaluations: Sequence[Evaluation], environment: Environment, keep: Path | None = None
) -> list[Comparison]:
    """Score finished evaluations with lighteval, and set its numbers beside ours.

    Args:
        evaluations: of different benchmarks.
        environment: lighteval's.
        keep: folder for what lighteval reads and writes; None keeps it only where lighteval fails.

    Raises:
        DataError: a file of an evaluation is damaged, or two evaluations have the same task.
        LightevalError: lighteval ended with an error, or left something else than verdicts on these samples.
    """
    with work_folder(keep) as place:
        variables = export(evaluations, place)
        reports = score([evaluation.task for evaluation in evaluations], environment, place, variables)
    return [compare(evaluation, reports[evaluation.task], environment.version) for evaluation in evaluations]


@contextmanager
def work_folder(keep: Path | None = None) -> Iterator[Path]:
    """A folder for one run of lighteval, removed afterwards unless it is to be kept or lighteval failed."""
    place = Path(tempfile.mkdtemp(prefix="prefix-rft-lighteval-")) if keep is None else keep
    if keep is not None and keep.exists() and any(keep.iterdir()):
        raise LightevalError(f"{keep} is not empty; name a new folder")
    place.mkdir(parents=True, exist_ok=True)
    failed = False
    try:
        yield place
    except LightevalError:
        failed = True
        raise
    finally:
        if keep is None and not failed:
            shutil.rmtree(place)


def score(
    tasks: Sequence[str], environment: Environment, place: Path, variables: Mapping[str, str]
) -> dict[str, Report]:
    """Run lighteval on exported tasks; its report of each.

    Raises:
        LightevalError: it ended with an error, or a report is missing.
    """
    asked = ",".join(f"prefix_rft:{task}|0" for task in tasks)
    out = place / "out"
    arguments = [
        str(HERE / "host.py"), "custom", _MODEL, str(HERE / "replay.py"), asked, "--custom-tasks", str(TASKS),
        "--no-remove-reasoning-tags", "--save-details", "--output-dir", str(out),
    ]  # fmt: skip
    call(environment, arguments, place, variables)
    return _reports(out, tasks)


def call(
    environment: Environment,
    arguments: Sequence[str],
    place: Path,
    variables: Mapping[str, str],
    *,
    online: bool = False,
) -> None:
    """Run a script in lighteval's environment; what it prints goes to <place>/lighteval.log.

    Args:
        environment: lighteval's.
        arguments: script and its arguments.
        place: working folder.
        variables: environment variables of the tasks and the model.
        online: whether the hub and its cache may be used; else nothing outside `place` is.

    Raises:
        LightevalError: it ended with an error; names the log and shows its end.
    """
    log = place / "lighteval.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(environment.python), *arguments], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            env=_surroundings(place, online) | dict(variables), cwd=place, start_new_session=True,
        )  # fmt: skip
        try:
            code = process.wait()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if code:
        raise LightevalError(f"lighteval ended with {code}; {log} ends in\n{_end_of(log)}")


def _surroundings(place: Path, online: bool) -> dict[str, str]:
    """Our environment without what belongs to our Python and what somebody set for the tasks by hand."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _INHERITED_NO_MORE and name not in TASK_VARIABLES
    }
    # Rich draws tracebacks as wide as COLUMNS; a log has no width.
    always = {"PYTHONNOUSERSITE": "1", "COLUMNS": "200"}
    alone = {"HF_HOME": str(place / "hub"), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    return kept | always | ({} if online else alone)


def _reports(out: Path, tasks: Sequence[str]) -> dict[str, Report]:
    (results,) = out.glob(f"results/{_MODEL}/results_*.json")
    totals: dict[str, dict[str, float]] = json.loads(results.read_text())["results"]
    return {task: _report(out, task, totals[f"prefix_rft:{task}|0"]) for task in tasks}


def _report(out: Path, task: str, totals: Mapping[str, float]) -> Report:
    import pyarrow.parquet as pq

    (details,) = out.glob(f"details/{_MODEL}/*/details_prefix_rft:{task}|0_*.parquet")
    rows = pq.read_table(details, columns=["doc", "metric"]).to_pylist()
    # Averaging over tasks, lighteval gives each of them the metrics of all the others, as 0.
    own = rows[0]["metric"]
    return Report({name: totals[name] for name in own}, dict(_said(row) for row in rows))


def _said(row: Mapping[str, Any]) -> tuple[str, Said]:
    specific = row["doc"]["specific"]
    verdicts = tuple(verdict == 1.0 for verdict in specific["verdicts"])
    return specific["problem_id"], Said(row["metric"], verdicts, tuple(specific["answers"]))


def _end_of(log: Path) -> str:
    lines = log.read_text(errors="replace").rstrip().splitlines()
    return "\n".join(lines[-_LAST_LINES:])
