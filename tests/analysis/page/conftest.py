"""A store with a run of every fate, its page, and a small reader of HTML."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from analysis.cells import Cell, cell_of
from analysis.page.sheet import Commands, Sheet
from analysis.page.write import write_page
from analysis.results import load_results
from analysis.sections import sections
from eval.samples import SAMPLES, Sample, read_rows, write_rows
from prefix_rft.runs.atomic import write_json
from prefix_rft.runs.rollout_samples import RolloutSample, append_samples
from prefix_rft.runs.state import StateWriter
from prefix_rft.runs.store import RunDir

VOID = {"meta", "img", "input", "wbr", "br", "hr", "link"}
HOSTILE = (
    '</script><script>window.ran = 1</script><img src=x onerror="window.ran = 1"><b id="planted">\'"&amp;'
    "</pre></td></title><!-- {{ 7 * 7 }} ${7 * 7} \u2028 \u202e \x00 \x1b[31m javascript:ran()"
)
"""What text of a run may look like at worst."""


@dataclass
class Element:
    """One element of a page."""

    tag: str
    attributes: dict[str, str]
    parent: Element | None
    children: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All text in it."""
        return "".join(child if isinstance(child, str) else child.text for child in self.children)

    def all(self, tag: str | None = None, **attributes: str) -> list[Element]:
        """Elements below it, in the order of the page."""
        found: list[Element] = []
        for child in self.children:
            if isinstance(child, Element):
                fits = all(child.attributes.get(name) == value for name, value in attributes.items())
                found += [child] if tag in (None, child.tag) and fits else []
                found += child.all(tag, **attributes)
        return found


class _Reader(HTMLParser):
    """Elements as a browser nests them, as long as every one is closed."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = self.at = Element("", {}, None)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        made = Element(tag, {name: value or "" for name, value in attrs}, self.at)
        self.at.children.append(made)
        if tag not in VOID:
            self.at = made

    def handle_endtag(self, tag: str) -> None:
        assert self.at.tag == tag, f"<{self.at.tag}> is closed by </{tag}>"
        assert self.at.parent is not None
        self.at = self.at.parent

    def handle_data(self, data: str) -> None:
        self.at.children.append(data)


def read_html(text: str) -> Element:
    """The page as a tree."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    assert reader.at is reader.root, f"<{reader.at.tag}> is never closed"
    return reader.root


@dataclass
class Page:
    """A page on disk, and what it was made from."""

    path: Path
    cells: dict[str, Cell]

    @property
    def tree(self) -> Element:
        """The page, read."""
        return read_html(self.path.read_text("utf-8"))

    @property
    def data(self) -> dict[str, Any]:
        """What its script reads."""
        (block,) = self.tree.all("script", id="data")
        value: dict[str, Any] = json.loads(block.text)
        return value


@dataclass
class Writer:
    """Makes runs of every fate and pages of them."""

    build: Any
    verdicts: Any
    folder: Path

    def cells(self) -> dict[str, Cell]:
        """A base model, three methods with two seeds, and a failed, a running and a new run."""
        made = {"base": self.build.done("base", 0, self.verdicts(0.1, "base"))}
        for method, rate in {"sft": 0.5, "rft": 0.1, "prefix_rft": 0.8}.items():
            for seed in (0, 1):
                cell = self.build.done(method, seed, self.verdicts(rate, method, seed))
                rewards = [None] * 6 if method == "sft" else [0.125 * step for step in range(6)]
                self.build.curve(cell.run_id, rewards, {3: 0.3, 6: rate})
                made[f"{method} {seed}"] = cell
        failed = self.build.new("rft", 2)
        StateWriter(failed.path).failed(RuntimeError("out of memory"))
        new = self.build.new("prefix_rft", 2)
        return made | {"failed": cell_of(failed), "new": cell_of(new)}

    def sheet(self, cells: dict[str, Cell], name: str = "main_results", **changes: Any) -> Sheet:
        results = load_results(self.build.store, list(cells.values()), sweep=name)
        lines = {cell.run_id: f"python -m experiments.run seed={cell.seed}" for cell in cells.values()}
        sheet = Sheet(
            name=name,
            title="Main results",
            reproduces="Table 1",
            note="",
            results=results,
            sections=sections(results, "Main results", "2026-11-21"),
            commands=Commands("python -m experiments.run --multirun +sweep=main_results", lines),
        )
        return replace(sheet, **changes)

    def page(self, *sheets: Sheet, cells: dict[str, Cell], title: str = "Main results") -> Page:
        path = write_page(self.folder, sheets, self.build.store, title=title, date="2026-11-21")
        return Page(path, cells)

    def rollout(self, cell: Cell, **changes: Any) -> None:
        """One recorded rollout: two imitated tokens, the second of which is kept, and two of its own."""
        fields: dict[str, Any] = {
            "step": 3,
            "question": "q1",
            "rollout": 7,
            "prompt": "1+2?",
            "pieces": ["=", "3", "#", "3"],
            "weights": [0.0, 0.5, -0.25, -0.25],
            "imitated": 2,
            "start": 0,
            "tokens": 4,
            "reward": 1.0,
            "finished": True,
        }
        append_samples(self.build.store.path(cell.run_id), [RolloutSample(**(fields | changes))])

    def hostile(self) -> Page:
        """A page on which every text that a run can bring is hostile."""
        tags = {"tags": [HOSTILE]}
        cell = self.build.done("prefix_rft", 0, self.verdicts(0.8), tracking=tags)
        run = self.build.store.open(cell.run_id)
        self.rollout(cell, question=HOSTILE, prompt=HOSTILE, pieces=["=", HOSTILE, "#", HOSTILE])
        _spoil(run)
        failed = self.build.new("rft", 1, tracking=tags)
        StateWriter(failed.path).failed(type(HOSTILE[:80], (RuntimeError,), {})(HOSTILE))
        cells = {"done": replace(cell, label=HOSTILE), "failed": replace(cell_of(failed), label=HOSTILE)}
        sheet = self.sheet(cells, title=HOSTILE, reproduces=HOSTILE, note=HOSTILE)
        commands = Commands(HOSTILE, dict.fromkeys((cell.run_id, failed.id), HOSTILE))
        return self.page(replace(sheet, commands=commands), cells=cells, title=HOSTILE)


def _spoil(run: RunDir) -> None:
    """Hostile responses, answers and provenance."""
    for file in run.path.glob("eval/*/*/samples.parquet"):
        rows = [row for chunk in read_rows(file, SAMPLES) for row in chunk]
        write_rows(file, SAMPLES, [Sample(r.question_id, r.sample, HOSTILE, 4, False, r.key) for r in rows])
    source = {"commit": HOSTILE, "dirty": HOSTILE, "reason": HOSTILE}
    cpu = {"model": HOSTILE, "count": 2, "usable": 1}
    record = {"time": HOSTILE, "command": HOSTILE, "source": source, "cpu": cpu, "host": HOSTILE}
    record |= {"platform": HOSTILE, "python": HOSTILE, "packages": {HOSTILE: HOSTILE}, "lock": None}
    write_json(run.path / "provenance.json", record | {"earlier": []})


@pytest.fixture
def writer(build: Any, make_verdicts: Any, tmp_path: Path) -> Writer:
    return Writer(build, make_verdicts, tmp_path / "page")


@pytest.fixture
def page(writer: Writer) -> Page:
    cells = writer.cells()
    writer.rollout(cells["prefix_rft 0"])
    return writer.page(writer.sheet(cells), cells=cells)
