"""Which grader a run's benchmarks get."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from eval.lighteval.environment import Environment, LightevalError
from eval.models import Model
from eval.protocols.catalogue import find
from experiments import evaluating
from experiments.compose import compose


@pytest.fixture
def benchmarks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A run's benchmarks: ARC-c of one question, with a model that is never asked."""
    row = {"id": "q0", "problem": "?\nA. a\nB. b", "answer": "A"}
    (tmp_path / "arc_c.jsonl").write_text(json.dumps(row) + "\n")
    asked = "evaluation.benchmarks"
    config = compose(
        [f"{asked}.names=[arc_c]", f"{asked}.folder={tmp_path}", f"{asked}.allow_changed_data=true"]
    )
    monkeypatch.setattr(evaluating, "protocol_for", lambda *_: (find("plain"), None))
    own = evaluating._Benchmarks(SimpleNamespace(path=tmp_path), config)  # type: ignore[arg-type]
    own._loaded = Model("r", tmp_path, "run r"), None, None  # type: ignore[assignment]
    return own


def test_multiple_choice_of_a_run_is_judged_by_lighteval(
    benchmarks: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, judged = Environment(tmp_path, "0.13.0"), []
    monkeypatch.setattr(evaluating, "find_environment", lambda: here)
    monkeypatch.setattr(evaluating.general, "measure", lambda *asked, **_: judged.append(asked))
    assert benchmarks.evaluate("arc_c", tmp_path / "own", None) == {"samples": 1, "questions": 1}
    ((_, _, _, folder, environment),) = judged
    assert (folder, environment) == (tmp_path / "own", here)


def test_without_lighteval_it_is_refused_by_name(
    benchmarks: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFIX_RFT_LIGHTEVAL", str(tmp_path / "nowhere"))
    with pytest.raises(LightevalError, match=r"no lighteval environment in .*nowhere"):
        benchmarks.evaluate("arc_c", tmp_path / "own", None)
