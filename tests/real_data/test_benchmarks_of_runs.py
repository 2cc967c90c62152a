"""A run evaluates itself on benchmarks, base model included, and does not do so twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eval.benchmarks.registry import BENCHMARKS
from eval.frames import find
from eval.protocols.catalogue import PROTOCOLS
from experiments.compose import compose
from experiments.cost.work import evaluation_work
from prefix_rft.errors import SettingsError
from prefix_rft.runs.identity import evaluation_digest, evaluations, train_identity
from prefix_rft.settings.evaluation import BenchmarkName, ProtocolName

Start = Callable[..., Any]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    for name, answer in {"aime24": "7", "minerva": "3e8"}.items():
        rows = [{"id": f"{name}-{i}", "problem": f"What is {i}?", "answer": answer} for i in range(3)]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / BENCHMARKS[name].file).write_text(text, encoding="utf-8")
    return folder


def asked(files: Path, *more: str) -> list[str]:
    group = "evaluation.benchmarks"
    return [
        "data.max_response_tokens=64", "optimisation.rl.steps=1", "evaluation.splits=[]", f"{group}.folder={files}",
        f"{group}.names=[aime24,minerva]", f"{group}.allow_changed_data=true", f"{group}.samples=2",
        f"{group}.max_tokens=8", f"{group}.protocol=plain", *more,
    ]  # fmt: skip


@pytest.mark.slow
def test_a_run_and_its_base_are_measured(trial: Start, word_problems: Path, files: Path) -> None:
    done = trial(f"data.path={word_problems}", *asked(files))
    for run in (done.run, done.base):
        found = find([run.path]).evaluations
        assert [(one.benchmark, one.scores.samples, one.changed) for one in found] == [
            ("aime24", 2, True),
            ("minerva", 2, True),
        ]
        assert found[1].scientific is not None
        assert found[0].scores.subject == f"run {run.id} {run.checkpoints()[-1].path.name}"
        for name, folder in evaluations(done.config):
            assert (run.path / "eval" / name / folder / "done.json").exists()
    stamp = found[0].folder.stat().st_mtime_ns
    trial(f"data.path={word_problems}", *asked(files))
    assert found[0].folder.stat().st_mtime_ns == stamp


def test_benchmarks_change_neither_a_run_nor_its_other_evaluations(word_problems: Path, files: Path) -> None:
    usual = [
        "scale=trial",
        f"data.path={word_problems}",
        "data.max_response_tokens=64",
        "optimisation.rl.steps=1",
    ]
    without, having = compose(usual), compose(["scale=trial", f"data.path={word_problems}", *asked(files)])
    assert train_identity(without).id == train_identity(having).id
    assert evaluation_digest(without) == evaluation_digest(having)
    other = compose(
        ["scale=trial", f"data.path={word_problems}", *asked(files, "evaluation.benchmarks.samples=3")]
    )
    assert {name for name, _ in evaluations(other)} == {"aime24", "minerva"}
    assert set(evaluations(other)).isdisjoint(evaluations(having))


def test_a_plan_counts_them() -> None:
    config = compose(["evaluation=paper"])
    work = [evaluation_work(config, name) for name, _ in evaluations(config)]
    assert [name for name, _ in evaluations(config)] == [
        "aime24",
        "aime25",
        "amc",
        "math500",
        "minerva",
        "olympiad",
    ]
    assert all(one is not None for one in work)
    tokens = [one.generated for one in work if one is not None]
    assert tokens[0] == pytest.approx(30 * 32 * 0.35 * 8192)
    assert tokens[3] == pytest.approx(500 * 0.35 * 8192)


def test_settings_and_registries_know_the_same_names() -> None:
    assert set(BenchmarkName.__args__) == set(BENCHMARKS)  # type: ignore[attr-defined]
    assert set(ProtocolName.__args__) == set(PROTOCOLS)  # type: ignore[attr-defined]


@pytest.mark.parametrize("setting", ["names=[aime]", "protocol=lufy", "engine=sglang"])
def test_unknown_names_are_refused_before_anything_runs(setting: str) -> None:
    with pytest.raises(SettingsError, match=setting.partition("=")[0]):
        compose([f"evaluation.benchmarks.{setting}"])
