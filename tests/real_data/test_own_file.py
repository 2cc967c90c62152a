"""A file that the test itself writes: what a user does first, on a machine with nothing else."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from prefix_rft import data
from prefix_rft.data.encode import encode_questions, load_encoder
from prefix_rft.data.schema import Message
from prefix_rft.order import QuestionOrder

Start = Callable[..., Any]
SHORT = ("data.max_response_tokens=96", "evaluation.samples=2", "evaluation.pass_at=[1,2]")
FEW = ("data.validation_questions=4", "data.test_questions=4")


@pytest.mark.slow
def test_three_steps_of_prefix_rft(trial: Start, word_problems: Path) -> None:
    done = trial(f"data.path={word_problems}", *SHORT)
    rows = done.rows("train")
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert all(math.isfinite(row["loss"]) for row in rows)
    assert sum(row["updated_rows"] for row in rows) > 0, "a digit drawn at random is right now and then"
    assert rows[0]["prefix_tokens"] == first_prefix_tokens(done)
    assert all(row["response_length"] <= 96 for row in rows)
    assert 0 <= done.rows("validation")[-1]["validation/accuracy"] <= 1
    weights, before = (folder / "model.safetensors" for folder in (done.model, done.base_model))
    assert weights.read_bytes() != before.read_bytes()
    assert_evaluated(done, questions=16, samples=2)
    assert_speaks_through_its_template(done.model)


def first_prefix_tokens(done: Any) -> float:
    """Mean of floor(0.95 |y*|) over the first step's questions: the cosine begins at 0.95, its upper end."""
    settings = done.config.data
    encoder = load_encoder(done.base_model)
    questions = encode_questions(data.load(settings).train, encoder, settings).questions
    at_first = QuestionOrder(done.config.seed, len(questions), 8, keep_partial=False).at(0)
    lengths = [len(questions[index].demonstration or ()) for index in at_first]
    return float(np.mean([math.floor(0.95 * length) for length in lengths]))


def assert_evaluated(done: Any, *, questions: int, samples: int) -> None:
    folder = done.evaluation()
    verdicts = pq.read_table(folder / "verdicts.parquet").to_pylist()
    assert len(verdicts) == questions * samples
    mean = sum(row["correct"] for row in verdicts) / len(verdicts)
    assert done.scores()["metrics"][f"avg@{samples}"]["value"] == pytest.approx(mean)


def assert_speaks_through_its_template(folder: Path) -> None:
    encoder = load_encoder(folder)
    question = (Message(role="user", content="What is 1 + 1?"),)
    assert encoder.render(question) == "<|user|>\nWhat is 1 + 1?\n<|assistant|>\n"
    config = json.loads((folder / "config.json").read_text())
    assert config["vocab_size"] == encoder.vocabulary_size
    assert config["eos_token_id"] == encoder.eos_id


@pytest.mark.slow
@pytest.mark.parametrize("method", ["sft", "rft", "sft_rft"])
def test_the_other_methods(trial: Start, word_problems: Path, method: str) -> None:
    done = trial(f"data.path={word_problems}", f"method={method}", "optimisation.sft.epochs=8", *SHORT, *FEW)
    losses = [row["loss"] for row in done.rows("train")]
    assert all(math.isfinite(loss) for loss in losses)
    assert len(losses) == (8 if method == "sft" else 3)
    if method == "sft":
        assert losses[-1] < losses[0] - 0.5, "eight passes over one batch teach something"
    assert_evaluated(done, questions=4, samples=2)


@pytest.mark.slow
@pytest.mark.parametrize("fast_path", ["off", "on"])
def test_both_code_paths_run_the_same_trial(trial: Start, word_problems: Path, fast_path: str) -> None:
    done = trial(f"data.path={word_problems}", f"backend.fast_path={fast_path}", *SHORT, *FEW)
    assert done.rows("train")[0]["prefix_tokens"] == first_prefix_tokens(done)
    assert_evaluated(done, questions=4, samples=2)


@pytest.mark.slow
def test_a_model_of_ones_own_with_its_template(trial: Start, word_problems: Path, tmp_path: Path) -> None:
    folder = gpt_neox_folder(tmp_path / "model", word_problems)
    done = trial(f"data.path={word_problems}", "model=pretrained", f"model.path={folder}", *SHORT, *FEW)
    assert [row["step"] for row in done.rows("train")] == [1, 2, 3]
    assert sum(row["updated_rows"] for row in done.rows("train")) > 0
    assert (done.model / "config.json").is_file()
    encoder = load_encoder(done.model)
    question = data.load(done.config.data).train[0]
    assert encoder.render(question.messages) == f"Q: {question.text} A: "
    assert_evaluated(done, questions=4, samples=2)


def gpt_neox_folder(folder: Path, corpus: Path) -> Path:
    """A random model of an architecture without a fast path, its tokenizer trained here, its own template."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer, bpe.decoder = pre_tokenizers.ByteLevel(), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train(
        [str(corpus)],
        trainers.BpeTrainer(vocab_size=320, special_tokens=["<end>"], initial_alphabet=alphabet),
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<end>")
    tokenizer.chat_template = "{% for m in messages %}Q: {{ m['content'] }} A: {% endfor %}"
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = GPTNeoXConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=1024,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    GPTNeoXForCausalLM(config).save_pretrained(folder)
    return folder
