"""The file of tasks under lighteval's own command line, with all of lighteval's tasks beside it, and with a model."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from eval.lighteval.run import HERE, TASKS

pytestmark = pytest.mark.lighteval

WITHOUT_A_DOWNLOAD = """
import os.path
real = os.path.isfile
os.path.isfile = lambda path: str(path).endswith("tinyBenchmarks.pkl") or real(path)
"""
"""lighteval imports a task that downloads this file unless it is there."""
TINY = """
import sys
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
words = {word: i for i, word in enumerate(["<pad>", "<eos>", "<unk>", "what", "is", "1", "2", "+", "?", "so"])}
inner = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
inner.pre_tokenizer = pre_tokenizers.Whitespace()
PreTrainedTokenizerFast(
    tokenizer_object=inner, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>"
).save_pretrained(sys.argv[1])
model = LlamaForCausalLM(LlamaConfig(
    vocab_size=len(words), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
    max_position_embeddings=256, pad_token_id=0, eos_token_id=1, bos_token_id=1,
))
model.generation_config.do_sample = True
model.save_pretrained(sys.argv[1])
"""
"""A model that samples: lighteval leaves that to the model's generation_config.json."""


@pytest.fixture
def benchmarks(tmp_path: Path) -> Path:
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    rows = [{"id": f"aime24-{i}", "problem": f"what is {i} + 1 ?", "answer": str(i + 1)} for i in range(3)]
    (folder / "aime24.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def run(place: Path, arguments: list[str], **variables: str) -> str:
    surroundings = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    hub = {"HF_HOME": str(place / "hub"), "HF_HUB_OFFLINE": "1", "COLUMNS": "250"}
    done = subprocess.run(
        arguments, env=surroundings | hub | variables, cwd=place, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_lighteval_takes_the_tasks_beside_its_own(lighteval, benchmarks, tmp_path):
    """The program as it is installed: no name of ours is one of its own, and a document says what was asked."""
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_A_DOWNLOAD)
    program = str(lighteval.python.parent / "lighteval")
    printed = run(
        tmp_path,
        [
            program,
            "tasks",
            "inspect",
            "prefix_rft:aime24",
            "--custom-tasks",
            str(TASKS),
            "--num-samples",
            "1",
        ],
        PYTHONPATH=str(tmp_path),
        PREFIX_RFT_BENCHMARKS=str(benchmarks),
    )
    assert "prefix_rft:aime24" in printed
    assert "what is 0 + 1 ?" in printed
    assert "'problem_id': 'aime24-0'" in printed


def test_a_model_is_evaluated_on_them(lighteval, benchmarks, tmp_path):
    model = tmp_path / "model"
    run(tmp_path, [str(lighteval.python), "-c", TINY, str(model)])
    arguments = f"model_name={model},generation_parameters={{temperature:1.0}},batch_size=4,dtype=float32"
    printed = run(
        tmp_path,
        [
            str(lighteval.python), str(HERE / "host.py"), "accelerate", arguments, "prefix_rft:aime24|0",
            "--custom-tasks", str(TASKS), "--output-dir", str(tmp_path / "out"), "--save-details",
        ],
        PREFIX_RFT_BENCHMARKS=str(benchmarks),
        PREFIX_RFT_PROTOCOL='{"samples": {"aime24": 2}, "max_tokens": 8}',
    )  # fmt: skip
    assert "avg@n:n=2" in printed
    (results,) = (tmp_path / "out").rglob("results_*.json")
    scores = json.loads(results.read_text())["results"]["prefix_rft:aime24|0"]
    assert scores.keys() >= {"avg@n:n=2", "pass@k:k=1&n=2", "pass@k:k=2&n=2"}
    assert 0 <= scores["avg@n:n=2"] <= 1
