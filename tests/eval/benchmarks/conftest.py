"""A benchmark of three made-up problems with its manifest, and files of copies of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from eval.benchmarks import Benchmark, HubSource, Problem
from eval.benchmarks.digests import Entry, content_digest, entry

THREE = (
    Problem("toy-0", "How many   legs\nhas $x$ spiders?", "8"),
    Problem("toy-1", "Find $\\frac{1}{2}$ of six.", "3"),
    Problem("toy-2", "Add 2 and 2.", "4"),
)


@pytest.fixture
def three() -> tuple[Problem, ...]:
    """The toy benchmark's problems as they were published."""
    return THREE


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Benchmark:
    """The toy benchmark; the package finds its manifest."""
    entries = tuple(entry(problem, "integer") for problem in THREE)
    known: dict[str, tuple[Entry, ...]] = {"toy": entries}
    monkeypatch.setattr(import_module("eval.benchmarks.load"), "manifest", known.get)
    return Benchmark(
        name="toy",
        title="TOY",
        group="mathematics",
        problems=3,
        answer="integer",
        samples=4,
        digest=content_digest(entries),
        file="toy.jsonl",
        hub=HubSource(repository="nobody/toy", split="test", id="number", problem="question"),
        source="made up",
    )


@pytest.fixture
def folder_of(tmp_path: Path) -> Callable[..., Path]:
    """Writes rows as toy.jsonl and returns their folder."""

    def write(*rows: dict[str, Any] | Problem) -> Path:
        lines = [row if isinstance(row, dict) else asdict(row) for row in rows]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (tmp_path / "toy.jsonl").write_text(text, encoding="utf-8")
        return tmp_path

    return write
