"""`prefix-rft leaderboard`: evaluated models beside published numbers, with what is not alike noted in the cell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field
from rich.console import Console

from analysis import render
from analysis.evaluation_tables import leaderboard_csv, leaderboard_table
from analysis.leaderboard import Leaderboard, leaderboard
from eval.benchmarks.registry import select
from eval.evaluated import find
from experiments.commands.key_values import nested
from prefix_rft.errors import SettingsError
from prefix_rft.runs.atomic import write_text
from prefix_rft.settings.base import Settings, parse

Format = Literal["rich", "markdown", "csv"]
_FORMATS: dict[str, Format] = {".md": "markdown", ".csv": "csv"}


class LeaderboardSettings(Settings):
    """What stands in the table."""

    model: str = "Qwen2.5-Math-7B"
    """Base model of the published rows; a part of the name takes all models that contain it, where none has exactly
    this name. Case and punctuation do not count."""
    benchmarks: str | tuple[str, ...] = "paper"
    """Names or groups (paper, general, all), separated by commas: the columns. With two or more their mean follows."""
    metric: str = "avg"
    """avg: avg@n, or pass@1 where one sample was taken; pass@k; maj@k."""
    method: str = ""
    """Only published methods whose name contains this."""
    source: str = ""
    """Only published rows whose source contains this, e.g. 2507.01679."""
    protocol: str = ""
    """Only evaluations under the protocol of this name; needed where models were evaluated under several."""
    sort: str = ""
    """Column to sort by; the mean, or the only benchmark, if empty."""
    format: Format | None = None
    """rich, markdown or csv; by the ending of `out` if it is not given, rich without `out`."""
    out: Path | None = None
    """Write the table here (.md or .csv) in place of printing it."""
    folders: tuple[Path, ...] = Field(default=(), exclude=True)
    """Folders of evaluations, or stores of runs; the words of the command line that are no settings."""


def settings(words: Sequence[str], **options: str | None) -> LeaderboardSettings:
    """The settings of a command line: `key=value`, folders, and options that stand for settings.

    Raises:
        SettingsError: an unknown key or a value out of range, a setting given as a word and as an option.
    """
    values = nested([word for word in words if "=" in word])
    given = {name: value for name, value in options.items() if value is not None}
    twice = sorted(values.keys() & given.keys())
    if twice:
        raise SettingsError(f"{twice[0]} is given twice; say it once")
    folders = [Path(word) for word in words if "=" not in word]
    if folders and "folders" in values:
        raise SettingsError("folders is given twice; say it once")
    known = values | given | ({"folders": folders} if folders else {})
    texts = {name: str(value) for name, value in known.items() if isinstance(value, int | float)}
    return parse(LeaderboardSettings, known | texts)


def show(asked: LeaderboardSettings, console: Console) -> int:
    """Print or write the table; 0, also where nothing of ours is evaluated yet.

    Raises:
        DataError: a folder is missing, or a file in it is damaged.
        ProtocolError: our evaluations were made under different protocols; names the differing fields.
        SettingsError: an unknown model, benchmark, metric or column.
    """
    board = leaderboard(
        find(asked.folders),
        select(asked.benchmarks),
        model=asked.model,
        metric=asked.metric,
        method=asked.method,
        source=asked.source,
        protocol=asked.protocol,
        sort=asked.sort,
    )
    dress = asked.format or (_FORMATS.get(asked.out.suffix, "rich") if asked.out else "rich")
    if asked.out is not None:
        if dress == "rich":
            raise SettingsError(
                f"out={asked.out}: end it in .md or .csv, or say format=markdown or format=csv."
            )
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        write_text(asked.out, _text(board, dress))
        console.print(f"wrote {asked.out}")
    elif dress == "rich":
        console.print(render.rich_renderable(leaderboard_table(board)))
    else:
        console.out(_text(board, dress), highlight=False, end="")
    return 0


def _text(board: Leaderboard, dress: Format) -> str:
    return leaderboard_csv(board) if dress == "csv" else render.markdown(leaderboard_table(board))
