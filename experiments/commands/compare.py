"""`prefix-rft compare`: two models on the same benchmarks, problem by problem, with paired intervals and tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import field_validator
from rich.console import Console
from rich.text import Text

from analysis import render
from analysis.evaluation_tables import comparison_table
from eval.benchmarks.registry import select
from eval.evaluated import Evaluated, find
from eval.rivals import Comparison, compare_models
from eval.samples import write_table
from experiments.commands.key_values import nested
from prefix_rft.errors import DataError, SettingsError
from prefix_rft.settings.base import Settings, parse

COLUMNS = {
    "first": "string",
    "second": "string",
    "metric": "string",
    "benchmark": "string",
    "difference": "double",
    "ci95_low": "double",
    "ci95_high": "double",
    "p": "double",
    "p_holm": "double",
    "better": "int64",
    "worse": "int64",
    "alike": "int64",
    "p_signs": "double",
    "seeds": "int64",
    "questions": "int64",
}
"""Columns of the written file, with their parquet types; better to p_signs are null for the average."""


class CompareSettings(Settings):
    """Which models are compared, and in what."""

    first: tuple[Path, ...]
    """The model's folder of evaluations; of one trained with several seeds a folder a seed, separated by commas."""
    second: tuple[Path, ...]
    """The same of the other model: as many seeds, in the same order."""
    names: tuple[str, str] = ("first", "second")
    """What the table calls them."""
    benchmarks: str | tuple[str, ...] = "paper"
    """Names or groups: only these; mathematics and general ones are graded differently and not mixed."""
    protocol: str = ""
    """Only evaluations under the protocol of this name."""
    metric: str = "avg"
    """avg, or pass@k."""
    key: int = 0
    """Of the resamples."""
    out: Path | None = None
    """Also write the numbers as this parquet file."""

    @field_validator("first", "second", "names", mode="before")
    @classmethod
    def one_or_several(cls, value: Any) -> Any:
        """`a,b` and `[a, b]` mean the same."""
        return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


def compare(words: Sequence[str], console: Console) -> int:
    """Print the differences, first minus second; 0.

    Args:
        words: `key=value` of `CompareSettings`.
        console: where to print.

    Raises:
        DataError: a folder is missing or holds no or several models, or the models answered different questions.
        ProtocolError: they were measured under different protocols; names the differing fields.
        SettingsError: a setting is refused, or the models have different numbers of training seeds.
    """
    asked = parse(CompareSettings, nested(words))
    if len(asked.first) != len(asked.second):
        raise SettingsError(
            f"first has {len(asked.first)} training seeds, second {len(asked.second)}; seeds are paired in order"
        )
    first, second = ([_evaluations(folder, asked) for folder in side] for side in (asked.first, asked.second))
    found = compare_models(first, second, asked.metric, asked.key)
    console.print(render.rich_renderable(comparison_table(found, *asked.names, asked.metric)))
    if asked.out is not None:
        _write(asked.out, found, asked)
        console.print(Text(f"wrote {asked.out}"), soft_wrap=True)
    return 0


def _evaluations(folder: Path, asked: CompareSettings) -> list[Evaluated]:
    """One model's evaluations below a folder, each benchmark once."""
    wanted = {benchmark.name for benchmark in select(asked.benchmarks)}
    found = [
        one
        for one in find([folder]).evaluations
        if one.benchmark in wanted and asked.protocol in ("", one.scores.protocol.name)
    ]
    if not found:
        raise DataError(f"{folder} has no finished evaluation on {', '.join(sorted(wanted))}")
    names = [one.benchmark for one in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        listed = "".join(
            f"\n  {one.folder} ({one.scores.subject})" for one in found if one.benchmark == twice
        )
        raise DataError(
            f"{folder} has several evaluations on {twice}; name one of them, or set protocol:{listed}"
        )
    return found


def _write(path: Path, found: Sequence[Comparison], asked: CompareSettings) -> None:
    import pyarrow as pa

    schema = pa.schema([(name, pa.type_for_alias(alias)) for name, alias in COLUMNS.items()])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(path, pa.Table.from_pylist([_row(one, asked) for one in found], schema=schema))


def _row(one: Comparison, asked: CompareSettings) -> dict[str, Any]:
    signs, difference = one.signs, one.difference
    voted = (signs.wins, signs.losses, signs.ties, signs.p_value) if signs else (None,) * 4
    numbers = (difference.value, *difference.ci95, difference.p_value, one.p_holm)
    place = (*asked.names, asked.metric, one.benchmark)
    return dict(zip(COLUMNS, (*place, *numbers, *voted, difference.seeds, difference.questions), strict=True))
