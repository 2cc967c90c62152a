"""A few rollouts written down for reading: what they say, and that writing them changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from prefix_rft.data.chain_encoder import ChainEncoder
from prefix_rft.data.encode import load_encoder
from prefix_rft.data.scratch import train_scratch_tokenizer
from prefix_rft.errors import RunError
from prefix_rft.local.rollouts import Responses
from prefix_rft.local.shown import STRETCH, pieces, shown_rollouts
from prefix_rft.local.trainer import Trainer
from prefix_rft.rollout import QuestionTokens, RolloutBatch, TokenWeights
from prefix_rft.runs.checkpoint import latest_checkpoint
from prefix_rft.runs.identity import train_identity
from prefix_rft.runs.rollout_samples import ROLLOUT_SAMPLES_FILE, read_samples, truncate_samples
from prefix_rft.runs.store import RunDir, Store
from prefix_rft.stop import InterruptedRunError, StopFlag

CHAIN = ChainEncoder(4)
QUESTION = QuestionTokens("q", tuple(CHAIN.encode_text("1+2?")), "3", None)


def _rl(**changes: Any) -> dict[str, Any]:
    return {
        "rl": {"questions_per_step": 6, "steps": 5, "learning_rate": 1e-2, "validate_every": 2, **changes}
    }


def _train(task: Any, coin: Any, root: Path, stop_after: int | None = None, **sections: Any) -> RunDir:
    config = task.config(optimisation=_rl(checkpoint_every=3), **sections)
    run, stop = Store(root).create(train_identity(config), config), StopFlag()

    def progress(step: int, total: int) -> None:
        stop.signal = "SIGTERM" if step == stop_after else None

    trainer = Trainer(config, run, task.model, coin)
    if stop_after is None:
        trainer.run_steps(stop, progress)
    else:
        with pytest.raises(InterruptedRunError):
            trainer.run_steps(stop, progress)
    return run


def _result(run: RunDir) -> tuple[object, bytes]:
    newest = latest_checkpoint(run.path)
    assert newest is not None
    rows = [{k: v for k, v in row.items() if "time/" not in k} for row in run.metrics()]
    return rows, (newest.path / "model.safetensors").read_bytes()


def test_writing_them_changes_neither_weights_nor_metrics(chain_task: Any, coin: Any, tmp_path: Path) -> None:
    written = _train(chain_task, coin, tmp_path / "on", backend={"sample_rollouts": 3})
    silent = _train(chain_task, coin, tmp_path / "off", backend={"sample_rollouts": 0})
    assert written.id == silent.id
    assert _result(written) == _result(silent)
    assert [row.step for row in read_samples(written.path)] == [2, 2, 2, 4, 4, 4, 5, 5, 5]
    assert not (silent.path / ROLLOUT_SAMPLES_FILE).exists()


def test_a_run_that_was_stopped_has_each_of_them_once(chain_task: Any, coin: Any, tmp_path: Path) -> None:
    whole = _train(chain_task, coin, tmp_path / "whole")
    _train(chain_task, coin, tmp_path / "parts", stop_after=4)
    resumed = _train(chain_task, coin, tmp_path / "parts")
    assert read_samples(resumed.path) == read_samples(whole.path)
    truncate_samples(resumed.path, 2)
    assert {row.step for row in read_samples(resumed.path)} == {2}


def test_a_hybrid_rollout_says_which_tokens_were_imitated_and_kept(
    chain_task: Any, coin: Any, tmp_path: Path
) -> None:
    run = _train(chain_task, coin, tmp_path)
    rows = read_samples(run.path)
    by_id = {question.id: question for question in chain_task.questions}
    for row in rows:
        assert len(row.pieces) == len(row.weights) == row.tokens
        demonstration = chain_task.encoder.decode(by_id[row.question].demonstration or ())
        assert demonstration.startswith("".join(row.pieces[: row.imitated]))
        assert row.prompt == chain_task.encoder.decode(by_id[row.question].prompt)
    hybrid = [row for row in rows if row.imitated]
    weighed = [row for row in hybrid if any(row.weights[: row.imitated])]
    assert len(hybrid) == 6, "two of every validation"
    assert weighed, "a prefix with an advantage"
    for row in weighed:
        kept = sum(weight != 0 for weight in row.weights[: row.imitated])
        assert kept < row.imitated, "entropy-based clipping keeps a fifth of the mini-batch's"


def _responses(texts: list[tuple[str, int]], graded: list[bool]) -> tuple[Responses, TokenWeights]:
    """Rows of one question: text and prefix length; weights count the tokens from 1."""
    ids = [CHAIN.encode_response(text) for text, _ in texts]
    width = max(map(len, ids))
    batch = RolloutBatch(
        question_B=torch.zeros(len(ids), dtype=torch.long),
        rollout_B=torch.arange(len(ids)),
        prefix_id_B=torch.tensor([0 if prefix else -1 for _, prefix in texts]),
        prefix_length_B=torch.tensor([prefix for _, prefix in texts]),
        response_length_B=torch.tensor([len(row) for row in ids]),
        reward_B=torch.ones(len(ids)),
    )
    prompt = list(QUESTION.prompt)
    ids_BL = torch.tensor([prompt + row + [0] * (width - len(row)) for row in ids])
    made = Responses(ids_BL, torch.full((len(ids),), len(prompt)), batch, torch.ones(len(ids)) > 0, 0, {}, {})
    object.__setattr__(made, "graded_B", torch.tensor(graded))
    count_BT = torch.arange(1.0, width + 1).expand(len(ids), width)
    imitated_BT = batch.imitated_BT()
    return made, TokenWeights(count_BT * ~imitated_BT, -count_BT * imitated_BT)


def test_the_first_row_of_each_kind_is_shown_with_its_weights() -> None:
    responses, weights = _responses([("=1", 0), ("=2", 0), ("=3", 2), ("=0", 2)], [True, True, False, True])
    ordinary, hybrid = shown_rollouts(responses, weights, [QUESTION], CHAIN, step=7, count=9)
    assert (ordinary.rollout, ordinary.pieces, ordinary.weights) == (0, ["=", "1", ""], [1, 2, 3])
    assert (hybrid.rollout, hybrid.pieces, hybrid.weights) == (2, ["=", "3", ""], [-1, -2, 3])
    assert (ordinary.reward, hybrid.reward) == (1.0, None)
    assert (hybrid.step, hybrid.question, hybrid.prompt, hybrid.imitated) == (7, "q", "1+2?", 2)
    assert shown_rollouts(responses, weights, [QUESTION], CHAIN, step=7, count=1) == [ordinary]


@pytest.mark.parametrize(
    ("prefix", "length", "start"), [(300, 999, 44), (10, 999, 0), (995, 999, 488), (0, 99, 0), (9, 99, 0)]
)
def test_of_a_long_response_the_end_of_the_prefix_is_shown(prefix: int, length: int, start: int) -> None:
    responses, weights = _responses([("1" * length, prefix)], [True])
    (shown,) = shown_rollouts(responses, weights, [QUESTION], CHAIN, step=1, count=1)
    assert (shown.start, shown.tokens, len(shown.pieces)) == (start, length + 1, min(length + 1, STRETCH))
    assert abs(shown.weights[0]) == start + 1


def test_tokens_that_share_a_character_give_it_to_the_last_of_them(tmp_path: Path) -> None:
    train_scratch_tokenizer(["a b c naïve 中文"], 262, tmp_path)
    encoder = load_encoder(tmp_path)
    text = "a 文 🙂 b é"
    found = pieces(encoder, encoder.encode_response(text))
    assert "".join(found) == text == encoder.decode(encoder.encode_response(text))
    assert "文" in found
    assert "🙂" in found
    assert found[-1] == "", "the end of the sequence"
    assert pieces(encoder, encoder.encode_response("文")[:2])[-1] == "\ufffd", "a cut character stays visible"


def test_a_line_that_is_no_rollout_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / ROLLOUT_SAMPLES_FILE).write_text('{"step": 1}\n')
    with pytest.raises(RunError, match=r"samples\.jsonl holds a line that is no rollout .*Delete the file"):
        read_samples(tmp_path)
