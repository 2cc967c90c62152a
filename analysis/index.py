"""The page that lists every sweep's report with its outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.outcome import outcome
from analysis.render import markdown_text
from analysis.results import Results
from analysis.status import short_duration
from prefix_rft.runs.atomic import write_text

INDEX_FILE = "index.md"
_HEADER = ("Sweep", "Outcome", "Runs", "Work", "Reproduces")


@dataclass(frozen=True)
class IndexEntry:
    """One sweep of the index."""

    name: str
    """Its report's folder, beside the index."""
    title: str
    reproduces: str
    results: Results


def write_index(folder: Path, entries: Sequence[IndexEntry], date: str) -> Path:
    """Write index.md: every sweep with its outcome in one line, its runs, and the seconds worked on them.

    Args:
        folder: holds the reports, each in <name>/.
        entries: in the order of the page.
        date: shown on the page.

    Raises:
        RunError: the disk refuses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / INDEX_FILE
    write_text(path, index(entries, date), durable=False)
    return path


def index(entries: Sequence[IndexEntry], date: str) -> str:
    """The page as Markdown."""
    lines = [_line(_HEADER), _line([":---", ":---", "---:", "---:", ":---"])]
    lines += [_line(_cells(entry)) for entry in entries]
    return "\n\n".join(["# Results of all sweeps", f"{date}. {_totals(entries)}", "\n".join(lines)]) + "\n"


def _cells(entry: IndexEntry) -> tuple[str, ...]:
    results = entry.results
    return (
        f"[{markdown_text(entry.title)}]({entry.name}/report.md)",
        markdown_text(outcome(results)),
        f"{len(results.evaluations)}/{len(results.runs)}",
        short_duration(sum(results.seconds.values())),
        markdown_text(entry.reproduces),
    )


def _totals(entries: Sequence[IndexEntry]) -> str:
    """Runs that stand in several tables count once."""
    seconds = {run: spent for entry in entries for run, spent in entry.results.seconds.items()}
    done = {run for entry in entries for run in entry.results.evaluations}
    cells = sum(len(entry.results.cells) for entry in entries)
    return (
        f"{len(done)} of {len(seconds)} distinct runs evaluated, for {cells} places in {len(entries)} tables; "
        f"{short_duration(sum(seconds.values()))} of work (all processes together)."
    )


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
