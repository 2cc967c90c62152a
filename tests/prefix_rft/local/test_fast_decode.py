"""Generation on both paths: forced prefixes, limits, and samples that do not depend on the batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from prefix_rft import keyed
from prefix_rft.errors import TrainingError
from prefix_rft.local.policy import Generation, Policy, load_policy
from prefix_rft.settings import LocalBackend

Prompts = list[list[int]]


def prompts(rows: int = 12, shortest: int = 1, longest: int = 14) -> Prompts:
    random = np.random.default_rng(0)
    lengths = random.integers(shortest, longest + 1, rows)
    return [random.integers(2, 13, length).tolist() for length in lengths]


def generate(policy: Policy, rows: Prompts, **changes: Any) -> Generation:
    settings: dict[str, Any] = {
        "max_new": [20] * len(rows),
        "key_B": np.array([keyed.key("test", row) for row in range(len(rows))], np.uint64),
        "start_B": [0] * len(rows),
    }
    return policy.generate(rows, **(settings | changes))


@pytest.fixture(params=["on", "off"], ids=["fast", "general"])
def policy(request: pytest.FixtureRequest, model_folder: Any) -> Policy:
    return load_policy(model_folder(key_value_heads=2), LocalBackend(fast_path=request.param))


def test_a_row_is_the_same_alone_in_a_batch_and_in_another_order(policy: Policy) -> None:
    rows = prompts()
    keys = np.array([keyed.key("test", row) for row in range(len(rows))], np.uint64)
    together = generate(policy, rows).tokens
    assert len({tuple(tokens) for tokens in together}) > 6
    order = list(reversed(range(len(rows))))
    reordered = generate(policy, [rows[i] for i in order], key_B=keys[order]).tokens
    assert [reordered[order.index(i)] for i in range(len(rows))] == together
    for row in range(len(rows)):
        assert (
            generate(policy, rows[row : row + 1], key_B=keys[row : row + 1]).tokens == together[row : row + 1]
        )


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("path", ["on", "off"])
def test_the_size_of_the_decoding_batch_changes_nothing(model_folder: Any, batch: int, path: Any) -> None:
    folder = model_folder()
    whole = generate(load_policy(folder, LocalBackend(fast_path=path)), prompts())
    parts = generate(load_policy(folder, LocalBackend(fast_path=path, generation_batch=batch)), prompts())
    assert (parts.tokens, parts.finished) == (whole.tokens, whole.finished)
    assert parts.decode_steps > whole.decode_steps


def test_a_prefix_of_a_sample_is_continued_to_the_same_sample(policy: Policy) -> None:
    """Keyed numbers belong to response positions, so forced and sampled tokens can be exchanged."""
    rows = prompts()
    whole = generate(policy, rows).tokens
    cut = [len(tokens) // 2 for tokens in whole]
    forced = [row + tokens[:k] for row, tokens, k in zip(rows, whole, cut, strict=True)]
    rest = generate(policy, forced, start_B=cut, max_new=[20 - k for k in cut]).tokens
    assert rest == [tokens[k:] for tokens, k in zip(whole, cut, strict=True)]


def test_both_paths_draw_the_same_tokens(model_folder: Any) -> None:
    for family in ("qwen2", "llama"):
        folder = model_folder(family=family, key_value_heads=2)
        policies = [load_policy(folder, LocalBackend(fast_path=path)) for path in ("on", "off")]
        for settings in ({}, {"temperature": 0.5}, {"top_p": 0.7}, {"temperature": 0.0}):
            ours, theirs = (generate(policy, prompts(), **settings) for policy in policies)
            assert (ours.tokens, ours.finished) == (theirs.tokens, theirs.finished)


def test_greedy_decoding_is_that_of_transformers(model_folder: Any) -> None:
    folder = model_folder(key_value_heads=2)
    theirs = AutoModelForCausalLM.from_pretrained(folder)
    rows = prompts(rows=6)
    ours = generate(load_policy(folder, LocalBackend()), rows, temperature=0.0).tokens
    for row, tokens in zip(rows, ours, strict=True):
        ids_1L = torch.tensor([row])
        expected = theirs.generate(
            ids_1L, attention_mask=torch.ones_like(ids_1L), max_new_tokens=20, do_sample=False
        )
        assert expected[0, len(row) :].tolist() == tokens


def test_decode_steps_of_a_hybrid_rollout_are_its_continuation(model_folder: Any) -> None:
    policy = load_policy(model_folder(), LocalBackend())
    hybrid = prompts(rows=1, shortest=14)
    done = generate(policy, hybrid, start_B=[9])
    assert done.decode_steps == len(done.tokens[0])


def test_a_hybrid_rollout_costs_its_batch_no_more_steps(model_folder: Any) -> None:
    """Its forced positions are decoding steps of the ordinary rows beside it."""
    policy = load_policy(model_folder(eos_id=12), LocalBackend())
    ordinary = [row[:4] for row in prompts(rows=3, shortest=4)]
    keys = np.arange(4, dtype=np.uint64)
    alone = generate(policy, ordinary, key_B=keys[:3])
    longest = max(map(len, alone.tokens))
    room = longest - 6
    mixed = generate(
        policy, [*ordinary, [*ordinary[0], 5, 6, 7, 8, 9, 10]],
        key_B=keys, start_B=[0, 0, 0, 6], max_new=[20, 20, 20, room],
    )  # fmt: skip
    assert mixed.tokens[:3] == alone.tokens
    assert mixed.decode_steps == alone.decode_steps == longest


def test_rows_end_at_their_own_limit_or_at_the_stop_token(policy: Policy) -> None:
    limits = [0, 1, 2, 3, 30, 30, 30, 30, 30, 30, 30, 30]
    done = generate(policy, prompts(), max_new=limits)
    for tokens, finished, limit in zip(done.tokens, done.finished, limits, strict=True):
        assert len(tokens) <= limit
        assert 1 not in tokens[:-1]
        assert finished == (bool(tokens) and tokens[-1] == 1)
        assert finished or len(tokens) == limit
    assert any(done.finished)
    assert not done.finished[0]


@pytest.mark.parametrize("path", ["on", "off"])
def test_no_row_leaves_the_context(model_folder: Any, path: Any) -> None:
    policy = load_policy(model_folder(max_positions=16, eos_id=0), LocalBackend(fast_path=path))
    rows = [[5] * 3, [6] * 15, [7] * 16]
    done = generate(policy, rows, max_new=[50] * 3)
    assert all(len(row) + len(tokens) <= 16 for row, tokens in zip(rows, done.tokens, strict=True))
    assert done.tokens[2] == []
    with pytest.raises(TrainingError, match="row 1 has 17 tokens; the model takes 1 to 16"):
        generate(policy, [[5], [5] * 17])


def test_several_stop_tokens(model_folder: Any) -> None:
    folder = model_folder()
    (folder / "generation_config.json").write_text('{"eos_token_id": [3, 4]}')
    for path in ("on", "off"):
        done = generate(load_policy(folder, LocalBackend(fast_path=path)), prompts())  # type: ignore[arg-type]
        ends = {tokens[-1] for tokens, finished in zip(done.tokens, done.finished, strict=True) if finished}
        assert ends == {3, 4}


def test_an_empty_row_is_named_and_no_rows_are_no_work(policy: Policy) -> None:
    with pytest.raises(TrainingError, match="row 1 has 0 tokens"):
        generate(policy, [[3], []])
    assert generate(policy, []) == Generation([], [], 0)


def test_one_entry_a_row(policy: Policy) -> None:
    with pytest.raises(ValueError, match="2 prompts, 1 limits"):
        generate(policy, [[3], [4]], max_new=[5])


def test_samples_follow_the_log_probabilities(model_folder: Any) -> None:
    """The share of each first token among many rollouts of one prompt is its probability."""
    policy = load_policy(model_folder(), LocalBackend())
    count = 4000
    done = generate(policy, [[5, 6, 7]] * count, max_new=[1] * count)
    frequency = np.bincount([tokens[0] for tokens in done.tokens], minlength=13) / count
    ids_BL = torch.tensor([[5, 6, 7, token] for token in range(13)])
    logp_BT, _ = policy.logprobs(
        ids_BL, torch.full((13,), 3), torch.ones(13, dtype=torch.long), with_entropy=False
    )
    assert np.abs(frequency - logp_BT[:, 0].detach().exp().numpy()).max() < 4 * np.sqrt(0.25 / count)


def test_new_weights_are_used_at_once(model_folder: Any, tmp_path: Path) -> None:
    policy = load_policy(model_folder(), LocalBackend())
    before = generate(policy, prompts()).tokens
    with torch.no_grad():
        for weight in policy.parameters():
            weight.add_(0.05)
    after = generate(policy, prompts()).tokens
    policy.save(tmp_path)
    assert after != before
    assert generate(load_policy(tmp_path, LocalBackend()), prompts()).tokens == after
