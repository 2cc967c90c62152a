"""`prefix-rft prepare-data`: a published data set becomes a checked file of questions."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from experiments.commands.bars import bars
from experiments.compose import compose
from prefix_rft.data import load_encoder
from prefix_rft.data.findings import KINDS, Kind
from prefix_rft.data.openr1 import Judge
from prefix_rft.data.preparation import (
    Report,
    done_before,
    prepare,
    report_path,
    what_is_asked,
)
from prefix_rft.data.published import Published, published
from prefix_rft.errors import SettingsError, unknown
from prefix_rft.grading import make_grader
from prefix_rft.models.ready import check_made
from prefix_rft.settings import HubData, PretrainedModel, RunConfig, parse
from prefix_rft.settings.preparation import PreparationRules

KNOWN = ("openr1",)
"""Data sets that can be prepared: files of experiments/conf/data in LUFFY's layout on the hub."""
_MOST_WORKERS = 8
_SHOWN = 3


def prepare_data(
    name: str,
    overrides: Sequence[str],
    *,
    out: Path,
    file: Path | None = None,
    tokenizer: str | None = None,
    rules: dict[str, str] | None = None,
    workers: int | None = None,
    force: bool = False,
    console: Console,
) -> int:
    """Prepare a data set, print what was found, and write a report beside it.

    Args:
        name: one of `KNOWN`.
        overrides: settings as for a run at `scale=paper`: `data.*` budgets and prompts, `model=...`.
        out: the JSONL file to write.
        file: parquet or JSONL in the layout of the hub's data set, read in its place.
        tokenizer: folder or hub name of the tokenizer that counts, if not that of `model`.
        rules: fields of `PreparationRules` that differ from its defaults.
        workers: grading processes; None takes one a core, 8 at most.
        force: replace what stands at `out`.
        console: where to print.

    Returns:
        0: the file is there.

    Raises:
        SettingsError: a name or a setting is refused.
        DataError: the source or the tokenizer cannot be had, or something else stands at `out`.
    """
    config = _config(name, overrides)
    data, sorting = config.data, parse(PreparationRules, dict(rules or {}))
    assert isinstance(data, HubData)
    _refuse_suffix(out)
    model = _counting(config, tokenizer)
    grading = data.grading.model_copy(update={"workers": workers or _cores()})
    with make_grader(grading) as grader:
        source = published(data, file)
        asked = what_is_asked(
            source, data, sorting, tokenizer=model.path, template=model.template, grader=grader.version
        )
        report = None if force else done_before(out, asked)
        if report is not None:
            console.print(Text(f"{out} was prepared before, in the same way"), soft_wrap=True)
        else:
            encoder = load_encoder(model.path, model.template, model.revision, model.trust_remote_code)
            judge = Judge(data, sorting, encoder, grader)
            report = _prepare(source, judge, out, asked, data.limit)
    _print(report, out, console)
    return 0


def _config(name: str, overrides: Sequence[str]) -> RunConfig:
    if name not in KNOWN:
        raise SettingsError(
            f"{unknown('data set to prepare', name, KNOWN)} Files of your own need no preparation: data=jsonl or "
            "data=parquet reads them"
        )
    return compose(["scale=paper", *overrides, f"data={name}"])


def _refuse_suffix(out: Path) -> None:
    if out.suffix != ".jsonl":
        raise SettingsError(f"--out {out}: questions are written as JSONL; let the name end in .jsonl")


def _counting(config: RunConfig, tokenizer: str | None) -> PretrainedModel:
    """The model whose tokenizer counts.

    Raises:
        SettingsError: the configured model has none.
        DataError: the configured model is still to be prepared.
    """
    if tokenizer is not None:
        return PretrainedModel(path=tokenizer)
    if not isinstance(config.model, PretrainedModel):
        raise SettingsError(
            f"model.kind={config.model.kind} has no tokenizer to count with; name one by --tokenizer"
        )
    check_made(config.model)
    return config.model


def _cores() -> int:
    return min(_MOST_WORKERS, len(os.sched_getaffinity(0)))


def _prepare(source: Published, judge: Judge, out: Path, asked: Report, limit: int | None) -> Report:
    with bars(Console(stderr=True)) as progress:
        total = source.total if limit is None else min(limit, source.total or limit)
        task = progress.add_task("rows", total=total)
        return prepare(source, judge, out, asked, limit, lambda done: progress.update(task, completed=done))


def _print(report: Report, out: Path, console: Console) -> None:
    table = Table("found", "rows", "of these kept", box=None)
    by_kind = {kind: [item for item in report["found"] if item["kind"] == kind] for kind in KINDS}
    found = {kind: items for kind, items in by_kind.items() if items}
    for kind, items in found.items():
        table.add_row(kind, str(len(items)), str(sum(item["kept"] for item in items)))
    if found:
        console.print(table)
    for line in [*_examples(found), *_lines(report, out)]:
        console.print(Text(line), soft_wrap=True)


def _examples(found: Mapping[Kind, Sequence[Report]]) -> Iterator[str]:
    """The first few of every kind that has something to say."""
    for kind, items in found.items():
        for item in [item for item in items if item["reason"]][:_SHOWN]:
            name = f" ({item['id']})" if item["id"] else ""
            yield f"row {item['row']}{name}, {kind}: {item['reason']}"


def _lines(report: Report, out: Path) -> list[str]:
    taught, right = report["demonstrations"], report["correct"]
    share = f", {right} of them right ({right / taught:.1%})" if taught else ""
    return [
        f"{report['questions']} questions of {report['rows']} rows, {taught} demonstrations{share}",
        *(f"{name} tokens: {_lengths(values)}" for name, values in report["tokens"].items() if values),
        f"{out}: {report['output']['bytes'] / 2**20:.1f} MiB, sha256 {report['output']['sha256']}",
        f"every finding: {report_path(out)}",
        f"train on it with data=openr1_prepared data.path={out}",
    ]


def _lengths(values: Report) -> str:
    return ", ".join(f"{name} {value:.0f}" for name, value in values.items())
