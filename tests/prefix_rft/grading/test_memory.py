"""50,000 samples are graded and scored within 1 GB, the workers' memory counted."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

QUESTIONS, SAMPLES = 1563, 32
LIMIT_MB = 1024
CHILD = r"""
import random, sys
from pathlib import Path
from eval.evaluate import evaluate
from eval.prompts import Prompt
from eval.protocol import describe
from eval.sampler import Response
from prefix_rft.data.schema import Message, Question
from prefix_rft.grading import make_grader, version
from prefix_rft.settings import EvaluationSettings
from prefix_rft.settings.grading import GradingSettings

WORDS = ["Let", "us", "see:", "the", "sum", "$x^2+1$", "is", "thus", "equal", "to", "\\frac{1}{2}"]
FORMS = ["{0}x+{1}", "{1}+{0}x", "{0}x+{1}.0", "{0}x+{2}", "x({0})+{1}", "{0}"]
TEXT = " ".join(random.Random(0).choices(WORDS, k=20_000))
questions, samples = int(sys.argv[2]), int(sys.argv[3])
grading = GradingSettings(workers=2, timeout_seconds=30)
settings = EvaluationSettings(samples=samples, pass_at=(1, 8))

def numbers(name):
    index = int(name)
    return index % 50 + 2, index % 7, index % 5 + 8

class Sampler:
    name, version, subject, batch = "made up", "1", "nobody", 256

    def sample(self, prompts, key_B, decoding):
        return [self.one(prompt, random.Random(int(key))) for prompt, key in zip(prompts, key_B)]

    def one(self, prompt, draw):
        start = draw.randrange(len(TEXT) - 6000)
        answer = draw.choice(FORMS).format(*numbers(prompt.id))
        return Response(f"{TEXT[start : start + 6000]} so \\boxed{{{answer}}}.", 1500, True)

def question(index):
    answer = "{0}x+{1}".format(*numbers(index))
    return Question(id=str(index), messages=(Message(role="user", content=f"question {index}"),), answer=answer)

asked = [question(index) for index in range(questions)]
prompts = [Prompt(question.id, ids=(1, 2, 3)) for question in asked]
record = describe(settings, grading, asked, split="test", max_tokens=2048, template="plain", grader=version(grading),
                  sampler=Sampler.name, sampler_version=Sampler.version)
with make_grader(grading) as grader:
    evaluate(Path(sys.argv[1]), asked, prompts, Sampler(), grader, record, settings, 2048)
"""


@pytest.mark.slow
def test_50_000_samples_need_less_than_1_gb(tmp_path: Path) -> None:
    """Resident memory of the process and its workers together; pages that they share are counted in each."""
    script, folder = tmp_path / "evaluate.py", tmp_path / "evaluation"
    script.write_text(CHILD)
    child = subprocess.Popen([sys.executable, script, folder, str(QUESTIONS), str(SAMPLES)])
    peak = 0.0
    while child.poll() is None:
        peak = max(peak, _resident_mb(child.pid))
        time.sleep(0.2)
    assert child.returncode == 0
    scores = json.loads((folder / "scores.json").read_text())
    assert 0.4 < scores["metrics"]["avg@32"]["value"] < 0.8, "three or four of six forms are right"
    print(f"peak of {peak:.0f} MB")
    assert peak < LIMIT_MB


def _resident_mb(pid: int) -> float:
    """Of a process and all below it; 0 once it has ended."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        return sum(member.memory_info().rss for member in family) / 2**20
    except psutil.NoSuchProcess:
        return 0.0
