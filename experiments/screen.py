"""How the progress of runs looks on a terminal: a headline, a bar, and a line a run."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from experiments.pace import clock
from experiments.watch import View

WORDS = {"running": "cyan", "elsewhere": "magenta", "failed": "red", "done": "green", "waiting": "dim"}
"""Where a run can be, with its colour; the more urgent first."""
WIDE = 96
"""Columns of a terminal from which ids and bars have room."""
_AROUND = 7
"""Lines of a terminal that are not lines of runs."""
_EVALUATION_LEFT = 0.9
"""What the last step of a stage is worth of a run: something always follows."""


@dataclass(frozen=True)
class Line:
    """One run."""

    run_id: str
    name: str
    word: str
    view: View


def screen(
    head: str, lines: Sequence[Line], seconds: float, to_go: float | None, *, width: int, height: int
) -> RenderableType:
    """The whole display.

    Args:
        head: counts of cells and runs.
        lines: one for every run, in the order of the plan; with little room the urgent ones are shown.
        seconds: since the command began.
        to_go: until its end, where known.
        width: columns of the terminal.
        height: lines of the terminal.
    """
    shown = _urgent(lines, max(4, height - _AROUND))
    hidden = [line.word for line in lines if line not in shown]
    table = _columns(width)
    for line in shown:
        table.add_row(*_cells(line, width))
    more = [Text(f"and {tally(hidden, 'more ')}", style="dim")] if hidden else []
    return Group(Text(head), _bar(lines, seconds, to_go), Text(), table, *more)


def tally(words: Collection[str], kind: str = "") -> str:
    """How many stand where: 2 running, 1 failed, 5 done."""
    listed = list(words)
    return ", ".join(f"{listed.count(word)} {kind}{word}" for word in WORDS if word in listed)


def sentence(view: View) -> str:
    """A run as it stands, for a log: train 34/60, reward 0.530, 8 s to go."""
    parts = [
        f"{view.stage} {steps(view)}".strip(),
        "" if view.reward is None else f"reward {view.reward:.3f}",
        "" if view.accuracy is None else f"accuracy {view.accuracy:.3f}",
        "" if view.to_go is None else f"{clock(view.to_go)} to go",
    ]
    return ", ".join(part for part in parts if part)


def steps(view: View) -> str:
    """34/60, or nothing where the steps are not counted."""
    return f"{view.step}/{view.total_steps}" if view.step is not None and view.total_steps else ""


def _urgent(lines: Sequence[Line], room: int) -> list[Line]:
    order = list(WORDS)
    chosen = {line.run_id for line in sorted(lines, key=lambda line: order.index(line.word))[:room]}
    return [line for line in lines if line.run_id in chosen]


def _bar(lines: Sequence[Line], seconds: float, to_go: float | None) -> RenderableType:
    ahead = "" if to_go is None else f", about {clock(to_go)} to go"
    bar = ProgressBar(total=len(lines), completed=sum(map(_share, lines)), width=40)
    grid = Table.grid(padding=(0, 1))
    grid.add_row(bar, Text(f"{clock(seconds)} so far{ahead}"))
    return grid


def _share(line: Line) -> float:
    if line.word in ("done", "failed"):
        return 1.0
    view = line.view
    return _EVALUATION_LEFT * view.step / view.total_steps if view.step and view.total_steps else 0.0


def _columns(width: int) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in ("run", "what", "stage", "") if width >= WIDE else ("what", "stage"):
        table.add_column(column, no_wrap=True)
    for column in ("step", "reward", "accuracy", "to go"):
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _cells(line: Line, width: int) -> list[RenderableType]:
    view = line.view
    stage = Text(view.stage or ("starting" if line.word == "running" else line.word), style=WORDS[line.word])
    bar = ProgressBar(total=view.total_steps, completed=view.step or 0, width=12) if steps(view) else Text()
    numbers = [
        steps(view),
        *("" if value is None else f"{value:.3f}" for value in (view.reward, view.accuracy)),
        "" if view.to_go is None else clock(view.to_go),
    ]
    start = [Text(line.run_id), Text(line.name), stage, bar] if width >= WIDE else [Text(line.name), stage]
    return [*start, *map(Text, numbers)]
