"""Builds run directories as training and evaluation leave them, through the writers that they use."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.cells import Cell, cell_of
from eval.evaluate import score
from eval.protocol import ProtocolRecord
from eval.results import write_scores
from eval.samples import SAMPLES, VERDICTS, Sample, Verdict, write_rows
from prefix_rft import keyed
from prefix_rft.runs.atomic import write_json
from prefix_rft.runs.identity import base_identity, evaluation_folder, train_identity
from prefix_rft.runs.metrics import MetricsWriter
from prefix_rft.runs.state import StateWriter
from prefix_rft.runs.store import RunDir, Store
from prefix_rft.settings import RunConfig, parse

Bits = NDArray[np.bool_]
PASS_AT = (1, 2)


@dataclass
class Builder:
    """Makes runs in one store; `tokens` long responses, `samples` a question."""

    store: Store

    def config(self, method: str, seed: int = 0, /, **changes: Any) -> RunConfig:
        values: dict[str, Any] = {
            "method": {"name": method},
            "model": {"kind": "tiny"},
            "data": {"kind": "chain", "max_prompt_tokens": 16, "max_response_tokens": 32},
            "evaluation": {"samples": 4, "pass_at": PASS_AT},
            "seed": seed,
        }
        return parse(RunConfig, values | changes)

    def new(self, method: str, seed: int = 0, /, **changes: Any) -> RunDir:
        """A run that nothing has happened to; method base gives the base model's run."""
        config = self.config("sft" if method == "base" else method, seed, **changes)
        identity = base_identity(config) if method == "base" else train_identity(config)
        assert identity is not None
        return self.store.create(identity, config)

    def done(
        self, method: str, seed: int, correct_QS: Sequence[Sequence[int]] | Bits, /, **changes: Any
    ) -> Cell:
        """A finished run with these verdicts."""
        run = self.new(method, seed, **changes)
        StateWriter(run.path).attempt()
        StateWriter(run.path).done()
        source = {"commit": "0123456789abcdef0123", "dirty": None, "reason": None}
        write_json(run.path / "provenance.json", {"source": source, "earlier": []})
        self.evaluate(run, np.array(correct_QS, dtype=np.bool_))
        return cell_of(run)

    def on_bases(
        self,
        rows: Mapping[str, tuple[str, Sequence[float]]],
        seeds: int = 3,
        base_seeds: Sequence[int] = (0, 2),
    ) -> list[Cell]:
        """Finished runs of rows `<name>, base_seed=<seed>`; a method and a rate for each base model."""
        return [
            replace(
                self.done(
                    method,
                    seed,
                    verdicts(rate, name, base, seed),
                    model={"kind": "tiny", "base_seed": base},
                ),
                label=f"{name}, base_seed={base}",
            )
            for name, (method, rates) in rows.items()
            for base, rate in zip(base_seeds, rates, strict=True)
            for seed in range(seeds)
        ]

    def on_benchmarks(
        self,
        method: str,
        seed: int,
        verdicts: Mapping[str, Sequence[Sequence[int]] | Bits],
        /,
        **changes: Any,
    ) -> Cell:
        """A finished run with these verdicts on benchmarks."""
        run = self.new(method, seed, **changes)
        StateWriter(run.path).attempt()
        StateWriter(run.path).done()
        for name, correct_QS in verdicts.items():
            self.evaluate(run, np.array(correct_QS, dtype=np.bool_), name, name="luffy")
        return cell_of(run)

    def evaluate(self, run: RunDir, correct_QS: Bits, part: str = "test", /, **protocol: Any) -> Path:
        """Samples, verdicts and scores on a split or benchmark; `protocol` changes fields of its record."""
        own = evaluation_folder(run.config()) if part == "test" else "luffy-00000000"
        folder = run.path / "eval" / part / own
        folder.mkdir(parents=True)
        pairs = [(f"q{q:03d}", s) for q in range(correct_QS.shape[0]) for s in range(correct_QS.shape[1])]
        write_rows(folder / "samples.parquet", SAMPLES, [Sample(q, s, "1#1$", 4, True, 7) for q, s in pairs])
        verdicts = [
            Verdict(q, s, bool(bit), "ok", "1") for (q, s), bit in zip(pairs, correct_QS.ravel(), strict=True)
        ]
        write_rows(folder / "verdicts.parquet", VERDICTS, verdicts)
        record = record_of(correct_QS, **{"split": part} | protocol)
        write_json(folder / "protocol.json", {"subject": run.id, "protocol": record.model_dump(mode="json")})
        write_scores(folder, score(folder, record, run.id, [k for k in PASS_AT if k <= record.samples]))
        return folder

    def curve(self, run_id: str, rewards: Iterable[float | None], accuracies: Mapping[int, float]) -> None:
        """Rows of metrics.jsonl: a reward a step (None for a method without rollouts), accuracy at some."""
        writer = MetricsWriter(self.store.path(run_id))
        for step, reward in enumerate(rewards, start=1):
            writer.append(step, "train", {"loss": 1.0} if reward is None else {"reward": reward})
            if step in accuracies:
                writer.append(step, "validation", {"validation/accuracy": accuracies[step]})


def record_of(correct_QS: Bits, **changes: Any) -> ProtocolRecord:
    questions, samples = correct_QS.shape
    fields: dict[str, Any] = {
        "name": "avg4",
        "split": "test",
        "questions": questions,
        "content": "c0ffee0011223344",
        "samples": samples,
        "temperature": 0.6,
        "top_p": 1.0,
        "max_tokens": 32,
        "seed": 0,
        "template": "chain",
        "grader": "exact 1",
        "extraction": ("after_marker #",),
        "verdict_seconds": 5.0,
        "sampler": "local",
        "sampler_version": "test",
    }
    return ProtocolRecord(**fields | changes)


def verdicts(rate: float, *parts: keyed.Part, questions: int = 60, samples: int = 4) -> Bits:
    """Bernoulli verdicts that belong to `parts`; questions differ in difficulty."""
    rng = keyed.generator("verdicts", *parts)
    difficulty = keyed.generator("difficulty").uniform(-0.1, 0.1, size=(questions, 1))
    return rng.uniform(size=(questions, samples)) < np.clip(rate + difficulty, 0, 1)


@pytest.fixture
def build(tmp_path: Path) -> Builder:
    return Builder(Store(tmp_path / "runs"))


@pytest.fixture
def make_verdicts() -> Any:
    return verdicts


@pytest.fixture
def pdflatex() -> Any:
    """Sets the files <name>.tex of a folder in one article, and gives what pdflatex said."""
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not installed: apt-get install texlive-latex-recommended")

    def compiled(folder: Path, names: Iterable[str]) -> str:
        inputs = "\n".join(f"\\input{{{name}}}\\clearpage" for name in names)
        head = "\\documentclass{article}\\usepackage{booktabs,graphicx}\\begin{document}"
        (folder / "paper.tex").write_text(f"{head}\n{inputs}\n\\end{{document}}\n")
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:]
        return done.stdout

    return compiled
