"""`prefix-rft contamination`: which benchmark problems stand in a training set, and in which of its rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from eval.benchmarks import Loaded, load, select
from eval.contamination import RUN, Contamination, Hit, Overlap, contamination
from experiments.commands.bars import bars
from experiments.compose import compose
from experiments.plain_console import PlainConsole
from prefix_rft import data
from prefix_rft.runs.atomic import write_json, write_text
from prefix_rft.settings import DataSettings
from prefix_rft.visible import spreadsheet_text

_LISTED = 3
_COLUMNS = ("benchmark", "side", "problem", "words", "training", "longest", "share", "texts")


def settings(overrides: Sequence[str]) -> DataSettings:
    """The training set that the overrides name, e.g. data=jsonl data.path=train.jsonl.

    No model is needed; where data of one's own are chosen and none is named, it is `model=scratch`, which takes any.

    Raises:
        SettingsError: the overrides are refused.
    """
    keys = {override.partition("=")[0] for override in overrides}
    own = any(item.startswith("data=") and not item.startswith("data=chain") for item in overrides)
    return compose([*overrides, "model=scratch"] if own and not keys & {"model", "scale"} else overrides).data


def report(
    training: DataSettings,
    benchmarks: str,
    folder: Path | None,
    *,
    run: int = RUN,
    listed: int = _LISTED,
    show: bool = False,
    allow_changed: bool = False,
    json_path: Path | None = None,
    csv_path: Path | None = None,
    console: Console | None = None,
) -> int:
    """Search the training questions for benchmark problems; print what was found, change nothing.

    Args:
        training: the training set; rows that it holds out for validation and testing are not searched.
        benchmarks: names or groups, separated by commas.
        folder: holds the benchmarks' files; None reads them from the hub.
        run: shortest run of words that counts.
        listed: problems listed for each benchmark, those held most completely first.
        show: also print the words that are shared; these are benchmark text.
        allow_changed: search for a benchmark whose content is not the published one.
        json_path: gets everything found, shared words only with `show`.
        csv_path: gets one row for every problem found.
        console: where to print; standard output by default.

    Returns:
        0: the search was made, whatever it found.

    Raises:
        DataError: the training set or a benchmark cannot be had or read.
        SettingsError: a benchmark is unknown.
    """
    out = console or PlainConsole()
    wanted = [load(item, folder, allow_changed=allow_changed) for item in select(benchmarks)]
    with out.status("reading the training set"):
        dataset = data.load(training)
    with bars(Console(stderr=True)) as progress:
        task = progress.add_task("questions", total=len(dataset.train))
        found = contamination(
            dataset.train, wanted, run=run, progress=lambda done: progress.update(task, completed=done)
        )
    held_out = len(dataset.validation) + len(dataset.test)
    _print(found, wanted, held_out, out, listed=listed, show=show)
    if json_path is not None:
        write_json(json_path, _as_dict(found, wanted, dataset.digest, show=show))
    if csv_path is not None:
        write_text(csv_path, _as_csv(found))
    return 0


def _print(
    found: Contamination, wanted: Sequence[Loaded], held_out: int, out: Console, *, listed: int, show: bool
) -> None:
    titles = {item.benchmark.name: item.benchmark.title for item in wanted}
    out.print(
        f"{found.questions} training questions with {found.demonstrations} demonstrations, searched for runs of "
        f"{found.run} words; {held_out} held-out questions were not searched."
    )
    box = SIMPLE_HEAD if out.is_terminal else None
    table = Table(box=box)
    table.add_column("benchmark", no_wrap=True)
    table.add_column("searched in", no_wrap=True)
    for name in ("problems", "short", "found", "half", "whole", "longest run"):
        table.add_column(name, justify="right", no_wrap=True)
    for overlap in found.overlaps:
        table.add_row(titles[overlap.benchmark], f"{overlap.side}s", *_counts(overlap))
    out.print(table)
    out.print(
        "found: shares a run; half, whole: one training text holds at least half, or all, of the problem's words; "
        "short: problems of fewer words than a run, found only as a whole. A phrase that many problems end in is a run "
        "like any other."
    )
    for overlap in found.overlaps:
        _list(overlap, titles[overlap.benchmark], out, listed=listed, show=show)


def _counts(overlap: Overlap) -> list[str]:
    longest = max((hit.longest for hit in overlap.hits), default=0)
    figures = (overlap.problems, overlap.short, len(overlap.hits), overlap.half, overlap.whole, longest)
    return [str(figure) for figure in figures]


def _list(overlap: Overlap, title: str, out: Console, *, listed: int, show: bool) -> None:
    for hit in overlap.hits[:listed]:
        out.print(Text(f"{title}, {_sentence(hit, overlap)}"), soft_wrap=True)
        if show:
            out.print(Text(f"    {hit.passage}"), soft_wrap=True)


def _sentence(hit: Hit, overlap: Overlap) -> str:
    more = f" (and {hit.texts - 1} more)" if hit.texts > 1 else ""
    return (
        f"{hit.problem}: {hit.share:.0%} of its {hit.words} words, {hit.longest} in a row, in the {overlap.side} of "
        f"{hit.training}{more}"
    )


def _as_dict(found: Contamination, wanted: Sequence[Loaded], digest: str, *, show: bool) -> dict[str, Any]:
    return {
        "run": found.run,
        "training": {"digest": digest, "questions": found.questions, "demonstrations": found.demonstrations},
        "benchmarks": {
            item.benchmark.name: {
                "digest": item.digest,
                "checked": item.checked,
                "changes": list(item.changes),
            }
            for item in wanted
        },
        "overlaps": [
            {
                "benchmark": overlap.benchmark,
                "side": overlap.side,
                "problems": overlap.problems,
                "short": overlap.short,
                "found": len(overlap.hits),
                "half": overlap.half,
                "whole": overlap.whole,
                "hits": [_plain(hit) | ({"passage": hit.passage} if show else {}) for hit in overlap.hits],
            }
            for overlap in found.overlaps
        ],
    }


def _plain(hit: Hit) -> dict[str, Any]:
    return {name: getattr(hit, name) for name in _COLUMNS[2:]}


def _as_csv(found: Contamination) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for overlap in found.overlaps:
        for hit in overlap.hits:
            cells = {"benchmark": overlap.benchmark, "side": overlap.side, **_plain(hit)}
            texts = {key: spreadsheet_text(value) for key, value in cells.items() if isinstance(value, str)}
            writer.writerow(cells | texts)
    return text.getvalue()
