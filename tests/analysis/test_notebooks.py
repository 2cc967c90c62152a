"""The notebooks as they are committed, and every cell of them on small stores, in this process."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import experiments.notebook as opening
from analysis import notebook_display
from analysis.layout import Table
from analysis.render import plain
from eval.evaluate import score
from eval.results import read_scores, write_scores
from experiments import sweeps
from experiments.plan import plan
from experiments.selection import select
from prefix_rft import keyed
from prefix_rft.runs.atomic import write_json
from prefix_rft.runs.metrics import MetricsWriter
from prefix_rft.runs.state import StateWriter

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "analysis" / "notebooks"
FILES = sorted(FOLDER.glob("*.ipynb"))
READING = [file for file in FILES if not file.name.startswith("05")]
SETTINGS = ("seed=0,1", "method=sft,prefix_rft")
RATES = {"base": 0.1, "sft": 0.5, "prefix_rft": 0.8}
"""Shares of right samples."""


def cells(file: Path, kind: str) -> list[str]:
    found = json.loads(file.read_text("utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in found if cell["cell_type"] == kind]


def test_there_are_five():
    assert [file.name[:2] for file in FILES] == ["01", "02", "03", "04", "05"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_notebook_is_committed_without_what_a_machine_puts_into_it(file):
    notebook = json.loads(file.read_text("utf-8"))
    assert notebook["metadata"] == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for place, cell in enumerate(notebook["cells"]):
        assert cell["metadata"] == {}
        assert cell["id"] == f"{file.name[:2]}-{place:02d}"
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)
    assert (
        file.read_text("utf-8") == json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    )


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_prose_is_short_and_names_nothing_of_a_machine(file):
    prose = cells(file, "markdown")
    assert prose[0].startswith("# ")
    assert max(len(text.split()) for text in prose) <= 90
    assert sum(len(text.split()) for text in prose) <= 350
    text = file.read_text("utf-8")
    assert re.findall(r"(?<![\w./:])/(?:home|root|tmp|usr|work|mnt|data)\b|localhost|[A-Z]:\\\\", text) == []
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert [link for link in links if not link.startswith("https://") and not (FOLDER / link).is_file()] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_name_that_a_cell_imports_exists(file):
    for node in ast.walk(ast.parse("\n".join(cells(file, "code")))):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module or "")
            assert [name.name for name in node.names if not hasattr(module, name.name)] == []


def test_cells_compute_nothing_and_are_kept_as_ruff_wants_them():
    code = "\n".join("\n".join(cells(file, "code")) for file in FILES)
    assert not re.search(r"\b(numpy|scipy|pandas|mean|std|sum)\b", code)
    for command in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
        done = subprocess.run(
            [Path(sys.executable).parent / "ruff", *command, FOLDER], cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr


@dataclass
class Notebook:
    """What the cells of a notebook displayed, in order; markdown as its text."""

    store: Path
    monkeypatch: pytest.MonkeyPatch
    shown: list[Any] = field(default_factory=list)

    def run(self, file: Path, settings: tuple[str, ...] = SETTINGS) -> None:
        for name, value in {"STORE": str(self.store), "SETTINGS": settings}.items():
            self.monkeypatch.setattr(opening, name, value)
        ipython = SimpleNamespace(display=self.shown.append, Markdown=str, Image=lambda png, **_: png)
        self.monkeypatch.setattr(notebook_display, "_ipython", lambda: ipython)
        names: dict[str, Any] = {"print": self.shown.append}
        for code in cells(file, "code"):
            self._run_cell(code, names)

    def _run_cell(self, code: str, names: dict[str, Any]) -> None:
        """The value of a last expression is displayed."""
        *first, last = ast.parse(code).body
        exec(compile(ast.Module(first, []), "<cell>", "exec"), names)
        if not isinstance(last, ast.Expr):
            exec(compile(ast.Module([last], []), "<cell>", "exec"), names)
            return
        value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), names)
        if value is not None:
            self.shown.append(value)

    @property
    def text(self) -> str:
        return "\n".join(_text(one) for one in self.shown).replace("\\", "")

    @property
    def figures(self) -> list[bytes]:
        return [one for one in self.shown if isinstance(one, bytes)]


def _text(shown: Any) -> str:
    if isinstance(shown, Table):
        return plain(shown)
    return shown._repr_markdown_() if hasattr(shown, "_repr_markdown_") else str(shown)


@pytest.fixture
def notebook(build, monkeypatch) -> Notebook:
    return Notebook(build.store.root, monkeypatch)


@pytest.fixture
def fill(build):
    """Finished runs of a sweep, made as training leaves them; returns the verdicts by run id."""

    def made(name: str, settings: tuple[str, ...] = SETTINGS, samples: int = 4) -> dict[str, np.ndarray]:
        selection = select(name, [*settings, f"store={build.store.root}"])
        return {task.id: finish(task, samples) for task in plan(selection.configs).tasks}

    def finish(task, samples: int) -> np.ndarray:
        run = build.store.create(task.run.identity, task.config)
        StateWriter(run.path).attempt()
        StateWriter(run.path).done()
        write_json(
            run.path / "provenance.json", {"source": {"commit": "0" * 40, "dirty": None, "reason": None}}
        )
        method = "base" if task.run.identity.kind == "base" else task.config.method.name
        correct_QS = keyed.generator("verdicts", task.id).uniform(size=(20, samples)) < RATES[method]
        build.evaluate(run, correct_QS)
        if method == "prefix_rft":
            record(run)
        return correct_QS

    def record(run) -> None:
        writer = MetricsWriter(run.path)
        for step in (1, 2, 3):
            names = (
                "reward",
                "reward_gap",
                "prefix_share",
                "response_length",
                "grad_norm_imitated",
                "entropy",
            )
            writer.append(step, "train", dict.fromkeys(names, 0.1 * step))
            looked = {"validation/accuracy": 0.2 * step, "validation/demonstration_nll": 1.0 / step}
            writer.append(step, "validation", looked)

    return made


@pytest.mark.parametrize("file", READING, ids=lambda file: file.stem)
def test_nothing_trained_yet_is_said_in_words(file, notebook):
    notebook.run(file, SETTINGS[:1] if file.name.startswith("02") else SETTINGS)
    assert "0 of 5 runs evaluated" in notebook.text or "0/17" in notebook.text
    assert "python -m experiments.run --multirun +sweep=" in notebook.text
    assert str(notebook.store) in notebook.text
    assert notebook.figures == []


def test_the_main_table_shows_what_the_store_holds(notebook, fill):
    verdicts = fill("main_results")
    notebook.run(FILES[0])
    (table,) = [one for one in notebook.shown if isinstance(one, Table) and one.columns[0].key == "method"]
    scores = {row.entries[0].value: row.entries[2].value for row in table.rows}
    base = next(cell.run_id for cell in select("main_results", SETTINGS).cells if cell.method == "base")
    assert scores["Base"] == pytest.approx(verdicts[base].mean())
    assert len(notebook.figures) == 1
    assert "main_results: 5 of 5 runs evaluated on the test split, 20 questions each." in notebook.text
    assert "Prefix-RFT > SFT" in notebook.text
    assert "No part" not in notebook.text


def test_another_score_in_the_store_is_another_number_in_the_notebook(notebook, fill, build):
    fill("main_results")
    notebook.run(FILES[3])
    before, notebook.shown = notebook.text, []
    cell = next(cell for cell in select("main_results", SETTINGS).cells if cell.method == "prefix_rft")
    run = build.store.open(cell.run_id)
    for folder in (run.path / "eval" / "test").iterdir():
        folder.rename(run.path / "before")
    build.evaluate(run, np.zeros((20, 4), dtype=np.bool_))
    notebook.run(FILES[3])
    assert re.search(r"Prefix-RFT +0 +0\.0", notebook.text)
    assert not re.search(r"Prefix-RFT +0 +0\.0", before)


def test_the_named_figures_of_training_and_evaluation_exist(notebook, fill):
    fill("main_results")
    notebook.run(FILES[2])
    assert len(notebook.figures) == 5
    notebook.run(FILES[3])
    assert len(notebook.figures) == 8
    assert re.findall("No part '([a-z_]+)'", notebook.text) == ["pass_at_k"]
    assert all(figure.startswith(b"\x89PNG") for figure in notebook.figures)


def test_many_samples_have_their_figure(notebook, fill):
    for run_id in fill("pass_at_k", samples=8):
        (folder,) = (notebook.store / run_id / "eval" / "test").iterdir()
        write_scores(folder, score(folder, read_scores(folder).protocol, run_id, [1, 2, 4, 8]))
    notebook.run(FILES[3])
    assert "pass_at_k: 5 of 5 runs evaluated" in notebook.text
    assert len(notebook.figures) == 1


def test_ablations_show_those_that_are_there_and_say_what_is_missing(notebook, fill):
    fill("schedule", ("seed=0",))
    notebook.run(FILES[1], ("seed=0",))
    overview = next(one for one in notebook.shown if isinstance(one, Table))
    evaluated = {row.entries[0].value: row.entries[2].value for row in overview.rows}
    assert list(evaluated) == sweeps.names()
    assert (evaluated["schedule"], evaluated["data_fraction"]) == ("10/10", "0/12")
    assert "+sweep=data_fraction" in notebook.text
    assert "+sweep=schedule" not in notebook.text
    assert notebook.figures


@pytest.mark.parametrize("name", ["main_results", "schedule", "data_fraction"])
def test_a_file_of_ones_own_is_opened_as_a_sweep_of_the_suite_is(name, tmp_path):
    own = tmp_path / f"{name}.yaml"
    own.write_text((ROOT / "sweeps" / f"{name}.yaml").read_text("utf-8"), encoding="utf-8")
    known = opening.open_sweep(name, ["seed=0"], store=tmp_path / "a, b")
    opened = opening.open_file(own, ["seed=0"], store=tmp_path / "a, b")
    assert opened.selection.cells == known.selection.cells
    assert opened.selection.configs == known.selection.configs
    assert "`.train()`" in opened._repr_markdown_()


def test_what_a_sweep_costs_is_said_run_by_run(tmp_path):
    table = opening.open_sweep("main_results", SETTINGS, store=tmp_path).cost()
    assert [row.entries[1].value for row in table.rows] == ["to do"] * 5
    assert all(row.entries[4].value > 1 for row in table.rows)
