"""Runs of a trial on somebody's own data, and made-up word problems where no real data are at hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from experiments.compose import compose
from experiments.execute import execute
from prefix_rft.runs.checkpoint import latest_checkpoint
from prefix_rft.runs.identity import chain
from prefix_rft.runs.store import RunDir, Store
from prefix_rft.settings import RunConfig

NAMES = ("Ada", "Ben", "Cleo", "Dan")
THINGS = ("shells", "stamps", "cups", "maps")


@dataclass(frozen=True)
class Trial:
    """A trial that has ended."""

    config: RunConfig
    run: RunDir
    base: RunDir
    """The run that it starts from."""

    @property
    def model(self) -> Path:
        """The folder of the trained model."""
        return _model(self.run)

    @property
    def base_model(self) -> Path:
        """The folder of the model that it started from."""
        return _model(self.base)

    def rows(self, kind: str) -> list[dict[str, Any]]:
        """Rows of metrics.jsonl of one kind."""
        return [row for row in self.run.metrics() if row["kind"] == kind]

    def evaluation(self) -> Path:
        """The folder of the test split's evaluation."""
        return self.run.evaluation("test", self.config)

    def scores(self) -> dict[str, Any]:
        """What scores.json says."""
        return dict(json.loads((self.evaluation() / "scores.json").read_text()))


def _model(run: RunDir) -> Path:
    newest = latest_checkpoint(run.path)
    assert newest is not None
    return newest.path


@pytest.fixture
def trial(tmp_path: Path) -> Callable[..., Trial]:
    """Composes `scale=trial` with the overrides given, runs it and expects it to end well."""

    def start(*overrides: str) -> Trial:
        config = compose(["scale=trial", f"store={tmp_path / 'runs'}", *overrides])
        execute([config]).raise_for_failures()
        store = Store(config.store)
        runs = [store.open(planned.identity.id) for planned in chain(config)]
        return Trial(config, runs[-1], runs[0])

    return start


@pytest.fixture
def word_problems(tmp_path: Path) -> Path:
    """64 made-up word problems with worked solutions; the answers run from 0 to 9."""
    path = tmp_path / "problems.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in _word_problems()), encoding="utf-8")
    return path


def _word_problems() -> Iterator[dict[str, str]]:
    for index in range(64):
        name, thing = NAMES[index % 4], THINGS[index // 4 % 4]
        first, second = index % 5, index // 13
        total = first + second
        yield {
            "id": f"own-{index}",
            "problem": f"{name} has {first} {thing} and finds {second} more (day {index}). How many {thing} now?",
            "answer": str(total),
            "solution": f"At first {first}.\nThen {first} + {second} = {total} {thing}.\n#### {total}",
        }
