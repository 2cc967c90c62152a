"""`prefix-rft lighteval`: evaluations judged again by an independent harness; `lighteval-documents`: its prompts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from eval.benchmarks.load import load
from eval.benchmarks.registry import BENCHMARKS, select
from eval.benchmarks.rows import from_file
from eval.benchmarks.schema import Benchmark, HubSource, Problem
from eval.evaluated import SCIENTIFIC
from eval.lighteval.compare import TOLERANCE, Comparison, Disagreement
from eval.lighteval.environment import Environment, find_or_make
from eval.lighteval.export import Evaluation, read_evaluation
from eval.lighteval.general import write_documents
from eval.lighteval.run import replay
from eval.request import FOLDER_VARIABLE, benchmarks_folder
from eval.results import SCORES_FILE, read_scores
from prefix_rft.data import jsonl
from prefix_rft.data.rows import RowError
from prefix_rft.errors import DataError
from prefix_rft.runs.atomic import write_json

SHORT = 40


def replay_folders(
    folders: Sequence[Path],
    *,
    benchmarks: Path | None,
    problems: Path | None,
    environment: Path | None,
    yes: bool,
    keep: Path | None,
    json_path: Path | None,
    show: int,
    console: Console,
) -> int:
    """Score evaluations with lighteval, print both numbers, and list the samples that the graders judge differently.

    Args:
        folders: evaluations, or folders with evaluations somewhere below.
        benchmarks: folder of benchmark files; PREFIX_RFT_BENCHMARKS or the hub if None.
        problems: JSONL file with id, problem, answer, for evaluations that are on no benchmark.
        environment: lighteval's folder, if not the usual one.
        yes: whether lighteval may be installed without asking.
        keep: folder for what lighteval reads and writes.
        json_path: also write everything here.
        show: most disagreements listed of each evaluation.
        console: where to print.

    Returns:
        0: both give the same numbers but for the disagreements listed; 1: they do not.

    Raises:
        DataError: there is no finished evaluation, or its problems cannot be had.
        LightevalError: there is no environment, or lighteval failed.
    """
    found = [path for folder in folders for path in _evaluations(folder)]
    asked = [read_evaluation(path, _problems(path, benchmarks, problems)) for path in found]
    ready = find_or_make(environment, consent(yes))
    compared = list(_replayed(asked, ready, keep, console))
    for comparison in compared:
        _print(comparison, show, console)
    if json_path is not None:
        write_json(json_path, [comparison.as_dict() for comparison in compared])
    return 0 if all(comparison.same for comparison in compared) else 1


def documents(
    names: str, *, out: Path, source: Path | None, environment: Path | None, yes: bool, console: Console
) -> int:
    """Let lighteval write its prompts of multiple-choice benchmarks as benchmark files.

    Args:
        names: benchmarks, separated by commas, or a group.
        out: folder for the files.
        source: folder with local copies of the hub's repositories, each under its benchmark's name.
        environment: lighteval's folder, if not the usual one.
        yes: whether lighteval may be installed without asking.
        console: where to print.

    Returns:
        0: the files are there.

    Raises:
        SettingsError: a benchmark is unknown or not of multiple choice.
        LightevalError: there is no environment, or lighteval failed.
    """
    chosen = select(names)
    for path in write_documents(chosen, out, find_or_make(environment, consent(yes)), source):
        rows = path.read_text(encoding="utf-8").count("\n")
        console.print(f"{path}: {rows} problems", highlight=False, soft_wrap=True)
    console.print(
        f"Evaluate on them with {FOLDER_VARIABLE}={out}.", highlight=False, soft_wrap=True, style="dim"
    )
    return 0


def consent(yes: bool) -> Callable[[str], bool]:
    """Whether something may be installed: agreed beforehand, or asked at a terminal; never taken for granted."""

    def agreed(question: str) -> bool:
        if yes:
            return True
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return False
        print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    return agreed


def _evaluations(folder: Path) -> list[Path]:
    """The folder itself, or the evaluations below it, each as its protocol grades it.

    Raises:
        DataError: there is none.
    """
    found = sorted(path.parent for path in folder.rglob(SCORES_FILE))
    if not found:
        raise DataError(f"{folder} has no {SCORES_FILE}, nor a folder below it; evaluate first")
    if folder in found:
        return [folder]
    return [path for path in found if path.name != SCIENTIFIC or path.parent not in found]


def _problems(folder: Path, benchmarks: Path | None, file: Path | None) -> Sequence[Problem]:
    split = read_scores(folder).protocol.split
    if file is not None:
        return list(_rows(file))
    if split not in BENCHMARKS:
        raise DataError(
            f"{folder} is an evaluation on {split!r}, which is no benchmark; name the file of its problems (rows with "
            "id, problem, answer): --problems FILE"
        )
    # A changed copy is said so in the evaluation's own record.
    return load(BENCHMARKS[split], benchmarks_folder(benchmarks), allow_changed=True).problems


def _rows(file: Path) -> Iterator[Problem]:
    anything = Benchmark(
        name="problems", title=file.name, group="mathematics", problems=1, answer="expression", samples=1,
        digest=None, file=file.name, hub=HubSource(repository="", split=""), source="",
    )  # fmt: skip
    for number, row in jsonl.rows(str(file)):
        try:
            if isinstance(row, RowError):
                raise row
            yield from_file(row, anything)
        except RowError as error:
            raise DataError(f"{file}, row {number}, field {error.field!r}: {error.reason}") from None


def _replayed(
    asked: Sequence[Evaluation], environment: Environment, keep: Path | None, console: Console
) -> Iterator[Comparison]:
    """One start of lighteval for as many evaluations as have tasks of their own."""
    left = list(asked)
    round_ = 0
    while left:
        now = list({evaluation.task: evaluation for evaluation in reversed(left)}.values())[::-1]
        left = [evaluation for evaluation in left if evaluation not in now]
        tasks = ", ".join(evaluation.task for evaluation in now)
        console.print(f"lighteval {environment.version} scores {tasks} ...", highlight=False, style="dim")
        yield from replay(now, environment, None if keep is None else keep / str(round_))
        round_ += 1


def _print(comparison: Comparison, show: int, console: Console) -> None:
    console.print(
        f"\n{comparison.folder} ({comparison.task}: {comparison.questions} problems x {comparison.samples} samples)",
        highlight=False, soft_wrap=True, style="bold",
    )  # fmt: skip
    console.print(_numbers(comparison))
    console.print(_verdict(comparison), highlight=False, soft_wrap=True)
    if comparison.disagreements[:show]:
        console.print(_listed(comparison.disagreements[:show]))
    if len(comparison.disagreements) > show:
        console.print(f"and {len(comparison.disagreements) - show} more (--list, --json)", highlight=False)


def _numbers(comparison: Comparison) -> Table:
    table = Table(
        "metric",
        "ours",
        f"lighteval {comparison.lighteval}",
        "difference",
        "where they agree",
        box=SIMPLE_HEAD,
    )
    where_agreed = {pair.name: pair for pair in comparison.agreeing}
    for pair in comparison.metrics:
        same = where_agreed.get(pair.name)
        agreed = "-" if same is None else f"{same.difference:.1e}"
        table.add_row(
            pair.name, f"{pair.ours:.6f}", f"{pair.lighteval:.6f}", f"{pair.difference:+.6f}", agreed
        )
    return table


def _verdict(comparison: Comparison) -> str:
    total = comparison.questions * comparison.samples
    by_reason = "".join(f"\n  {count}: {reason}" for reason, count in comparison.reasons.items())
    agreed = (
        f"The graders differ on {len(comparison.disagreements)} of {total} samples; they agree on every sample of "
        f"{comparison.agreeing_questions} problems.{by_reason}"
    )
    if comparison.same:
        return f"{agreed}\nBut for these the numbers are the same (to {TOLERANCE:g})."
    beyond = max([comparison.unexplained, *(abs(pair.difference) for pair in comparison.agreeing)])
    return f"{agreed}\nTHE NUMBERS DIFFER BEYOND THAT, by up to {beyond:.1e}: one of the two counts wrongly."


def _listed(disagreements: Sequence[Disagreement]) -> Table:
    table = Table(
        "problem",
        "sample",
        "gold",
        "we read",
        "ours",
        "lighteval read",
        "lighteval",
        "reason",
        box=SIMPLE_HEAD,
    )
    for item in disagreements:
        texts = (item.question_id, str(item.sample), item.gold, item.our_answer or "-", _word(item.ours))
        others = (item.lighteval_answer or "-", _word(item.lighteval), item.reason)
        table.add_row(
            *(
                Text(text if len(text) <= SHORT else f"{text[: SHORT - 3]}...")
                for text in (*texts, *others[:2])
            ),
            others[2],
        )
    return table


def _word(correct: bool) -> str:
    return "right" if correct else "wrong"
