"""`prefix-rft notebooks` in a real kernel: pages that need nothing beside them, failures that are named and kept."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from experiments.cli import app
from experiments.commands import notebooks as command

pytest.importorskip("nbclient", reason=f"notebooks are executed with nbclient: {command.INSTALL}")

SMALL = (
    "tracking=disabled",
    *(
        f"model.{phase}_steps={count}"
        for phase, count in (("single", 0), ("skill", 0), ("polish", 1), ("habit", 1))
    ),
    *(
        "model.architecture.hidden_size=16",
        "model.architecture.intermediate_size=32",
        "model.architecture.layers=1",
    ),
    *("data.train_questions=64", "data.validation_questions=4", "data.test_questions=6"),
    *("optimisation.rl.steps=4", "optimisation.rl.questions_per_step=4", "optimisation.rl.validate_every=2"),
)
"""What every sweep takes: no variant sets one of them."""


@pytest.fixture
def notebooks(tmp_path, monkeypatch):
    """In an empty folder: exit code, and what was said in one line."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["notebooks", "--out", "shown", *arguments])
        return done.exit_code, " ".join((done.stdout + done.stderr).split())

    return run


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Notebooks of these code cells in place of the suite's own."""
    folder = tmp_path / "written"
    folder.mkdir()
    monkeypatch.setattr(command, "_source", lambda: folder)

    def written(name: str, *code: str) -> None:
        cells = [
            {
                "cell_type": "code",
                "id": f"c{i}",
                "metadata": {},
                "outputs": [],
                "execution_count": None,
                "source": text,
            }
            for i, text in enumerate(code)
        ]
        content = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        (folder / f"{name}.ipynb").write_text(json.dumps(content), encoding="utf-8")

    return written


class Fetched(HTMLParser):
    """Addresses that a page would fetch, and whether it has scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.scripts = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        names = ("src", "srcset", "data", "poster") + (("href",) if tag == "link" else ())
        self.addresses += [value or "" for name, value in attrs if name in names]


def assert_stands_alone(page: str) -> None:
    found = Fetched(page)
    assert [address for address in found.addresses if not address.startswith("data:")] == []
    assert found.scripts == 0
    assert re.findall(r"url\((?!['\"]?(?:data:|#))[^)]*\)|@import", page) == []
    assert "default-src 'none'" in page


def outputs(file: Path) -> list[dict]:
    return [
        output for cell in json.loads(file.read_text("utf-8"))["cells"] for output in cell.get("outputs", [])
    ]


def test_a_failing_cell_is_named_and_the_notebook_kept_as_far_as_it_came(notebooks, write, tmp_path):
    write("01_fails", "x = 40 + 2\nx", "1 / (x - 42)", "'never'")
    write(
        "02_works",
        "from analysis.layout import *\nTable('A <b>', (Column('a', 'A'),), (Row((Entry(0.5),)),))",
    )
    code, said = notebooks()
    assert code == 1
    assert "02_works: done" in said, "one costs no other its turn"
    assert (
        "1 of 2 notebooks failed: 01_fails, code cell 2 (1 / (x - 42)): ZeroDivisionError: division by zero"
        in said
    )
    kept = outputs(tmp_path / "shown" / "01_fails.ipynb")
    assert [output["output_type"] for output in kept] == ["execute_result", "error"]
    assert kept[0]["data"]["text/plain"] == ["42"]
    assert "ZeroDivisionError" in (tmp_path / "shown" / "01_fails.html").read_text("utf-8")
    (table,) = outputs(tmp_path / "shown" / "02_works.ipynb")
    assert {"text/html", "text/markdown", "text/plain"} == set(table["data"])
    page = (tmp_path / "shown" / "02_works.html").read_text("utf-8")
    assert "<strong>A &lt;b&gt;</strong>" in page
    assert_stands_alone(page)


def test_a_cell_beyond_the_limit_and_a_kernel_that_dies_are_named(notebooks, write):
    write("01_slow", "import time\ntime.sleep(60)")
    write("02_dies", "import os", "os._exit(9)")
    code, said = notebooks("--limit", "1")
    assert code == 1
    assert "01_slow, code cell 1 (import time): took longer than 1 s; give it more with --limit" in said
    assert "02_dies, code cell 2 (os._exit(9)): Kernel died" in said


def test_the_kernel_is_this_environment_and_takes_no_package_from_the_folder(notebooks, write, tmp_path):
    (tmp_path / "analysis.py").write_text("raise SystemExit('not the suite')")
    write("01_where", "import sys, analysis.layout\nprint(sys.executable)", "import os\nprint(os.getcwd())")
    assert notebooks()[0] == 0
    said = [output["text"][0].strip() for output in outputs(tmp_path / "shown" / "01_where.ipynb")]
    assert said == [sys.executable, str(tmp_path)]


def test_the_main_table_says_what_an_empty_store_lacks(notebooks, tmp_path):
    code, said = notebooks("main", "store=my runs", "seed=0,1")
    assert (code, "01_main_table: done" in said) == (0, True), said
    assert "0 of 17 runs evaluated" in (tmp_path / "shown" / "01_main_table.ipynb").read_text("utf-8")
    printed = outputs(tmp_path / "shown" / "01_main_table.ipynb")[-1]["text"][-1]
    start = ["python", "-m", "experiments.run", "--multirun", "+sweep=main_results", "seed=0,1"]
    assert shlex.split(printed) == [*start, "store='my runs'"]
    assert_stands_alone((tmp_path / "shown" / "01_main_table.html").read_text("utf-8"))
    assert not (tmp_path / "my runs").exists(), "looking makes no store"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["main_tables"], "unknown notebook 'main_tables'. Did you mean '01_main_table'?"),
        (["01", "seeds=0"], "seeds"),
    ],
)
def test_what_is_not_known_is_refused_before_anything_is_written(notebooks, arguments, reason, tmp_path):
    code, said = notebooks(*arguments)
    assert code == 2
    assert reason in said
    assert not (tmp_path / "shown").exists()


def test_a_missing_package_is_named_with_what_installs_it(notebooks, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "nbconvert", None)
    code, said = notebooks()
    assert code == 2
    assert "notebooks need nbconvert, which is not installed: pip install 'prefix-rft[notebooks]'" in said
    assert not (tmp_path / "shown").exists()


@pytest.mark.slow
def test_all_of_them_on_a_store_that_the_suite_trained(tmp_path):
    train = [
        "-m",
        "experiments.run",
        "--multirun",
        "+sweep=main_results",
        "seed=0,1",
        "method=sft,prefix_rft",
        *SMALL,
    ]
    asked = ["-m", "experiments.cli", "notebooks", "--out", "shown", "seed=0,1", *SMALL]
    for arguments in (train, asked):
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    names = command.names()
    assert sorted(file.name for file in (tmp_path / "shown").iterdir()) == sorted(
        f"{name}.{kind}" for name in names for kind in ("html", "ipynb")
    )
    for name in names:
        page = (tmp_path / "shown" / f"{name}.html").read_text("utf-8")
        assert_stands_alone(page)
        assert "data:image/png" in page or name.startswith("02")
    assert "5 of 17 runs evaluated" in (tmp_path / "shown" / "01_main_table.ipynb").read_text("utf-8")
    assert "5 of 5 runs evaluated" in (tmp_path / "shown" / "05_your_own_sweep.ipynb").read_text("utf-8")
