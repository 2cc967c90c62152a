"""The general path: other architectures, what it refuses, precision, and folders."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file

from prefix_rft.errors import TrainingError
from prefix_rft.local.policy import load_policy
from prefix_rft.local.transformers_policy import TransformersPolicy
from prefix_rft.settings import LocalBackend

COMMON: dict[str, Any] = {
    "vocab_size": 40, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 64, "pad_token_id": 0, "eos_token_id": 1,
    "bos_token_id": None,
}  # fmt: skip


def policy_of(config: Any) -> TransformersPolicy:
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return TransformersPolicy(model, LocalBackend())


CONFIGS = {
    "rotary, query norms": transformers.Qwen3Config(**COMMON, head_dim=8),
    "sliding window": transformers.MistralConfig(**COMMON, head_dim=8, sliding_window=6),
    "mixture of experts": transformers.MixtralConfig(**COMMON, num_local_experts=4),
    "learned positions": transformers.GPT2Config(
        vocab_size=40, n_embd=32, n_layer=2, n_head=4, n_positions=64, eos_token_id=1, bos_token_id=None
    ),
    "ALiBi": transformers.BloomConfig(vocab_size=40, hidden_size=32, n_layer=2, n_head=4, eos_token_id=1),
    "output bias": transformers.PhiConfig(**COMMON),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_left_padding_right_padding_and_the_model_itself_agree(config: Any) -> None:
    """Every sampled row alone through the model gives the log-probabilities of the padded batch."""
    policy = policy_of(config)
    random = np.random.default_rng(0)
    prompts = [random.integers(2, 40, length).tolist() for length in (3, 9, 5, 5, 12)]
    keys = np.arange(5, dtype=np.uint64)
    tokens = policy.generate(prompts, max_new=[16] * 5, key_B=keys, start_B=[0] * 5).tokens
    for row in (0, 4):
        alone = policy.generate(prompts[row : row + 1], max_new=[16], key_B=keys[row : row + 1], start_B=[0])
        assert alone.tokens == [tokens[row]]
    rows = [torch.tensor(prompt + new) for prompt, new in zip(prompts, tokens, strict=True)]
    logp_BT, _ = policy.logprobs(
        torch.nn.utils.rnn.pad_sequence(rows, batch_first=True),
        torch.tensor([len(prompt) for prompt in prompts]),
        torch.tensor([len(new) for new in tokens]),
        with_entropy=False,
    )
    for row, (ids_L, prompt) in enumerate(zip(rows, prompts, strict=True)):
        with torch.no_grad():
            all_LV = policy.model(ids_L[None]).logits[0].log_softmax(-1)
        expected = all_LV[:-1].gather(1, ids_L[1:, None])[len(prompt) - 1 :, 0]
        torch.testing.assert_close(logp_BT[row, : len(expected)].detach(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("config", "named"),
    [
        (transformers.Gemma2Config(**COMMON, head_dim=8), "final_logit_softcapping"),
        (transformers.CohereConfig(**COMMON), "logit_scale"),
        (transformers.GraniteConfig(**COMMON, logits_scaling=2.0), "logits_scaling"),
    ],
)
def test_models_that_change_their_logits_are_refused(config: Any, named: str) -> None:
    with pytest.raises(TrainingError, match=f"changes its logits.*{named}"):
        policy_of(config)


def test_models_without_keys_and_values_are_refused() -> None:
    with pytest.raises(TrainingError, match="MambaForCausalLM has no cache"):
        policy_of(
            transformers.MambaConfig(vocab_size=40, hidden_size=32, num_hidden_layers=1, eos_token_id=1)
        )


def test_distinct_prompts_are_read_once(model_folder: Any) -> None:
    policy = load_policy(model_folder(), LocalBackend(fast_path="off"))
    assert isinstance(policy, TransformersPolicy)
    sizes: list[tuple[int, ...]] = []
    policy.base.register_forward_pre_hook(
        lambda module, args, kwargs: sizes.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    rows = [[5, 6, 7]] * 8 + [[0, 5, 6, 7]] * 8
    policy.generate(rows, max_new=[6] * 16, key_B=np.arange(16, dtype=np.uint64), start_B=[0] * 16)
    # Two prompts, although the shorter one, padded on the left with token 0, has the ids of the longer one.
    assert sizes[0] == (2, 4)
    live = [rows for rows, _ in sizes[1:]]
    assert live[0] <= 16
    assert all(later <= earlier for earlier, later in itertools.pairwise(live))
    assert all(width == 1 for _, width in sizes[1:])


def test_dropout_stays_off(model_folder: Any) -> None:
    policy = policy_of(
        transformers.GPT2Config(vocab_size=40, n_embd=32, n_layer=1, n_head=4, resid_pdrop=0.5)
    )
    inputs = torch.randint(2, 40, (2, 9)), torch.tensor([3, 3]), torch.tensor([6, 6])
    first, second = (policy.logprobs(*inputs, with_entropy=False)[0] for _ in range(2))
    assert torch.equal(first, second)


def test_a_saved_folder_has_the_same_weights(model_folder: Any, tmp_path: Path) -> None:
    folder = model_folder()
    load_policy(folder, LocalBackend(fast_path="off")).save(tmp_path)
    before, after = (load_file(place / "model.safetensors") for place in (folder, tmp_path))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert load_policy(tmp_path, LocalBackend(fast_path="on")).path == "fast"


def test_bfloat16_is_held_in_bfloat16_and_gives_log_probabilities_in_float32(model_folder: Any) -> None:
    folder = model_folder()
    policy = load_policy(folder, LocalBackend(dtype="bfloat16"))
    assert policy.path == "general"
    assert {weight.dtype for weight in policy.parameters()} == {torch.bfloat16}
    inputs = torch.randint(2, 13, (2, 9)), torch.tensor([3, 3]), torch.tensor([6, 6])
    logp_BT, _ = policy.logprobs(*inputs, with_entropy=False)
    exact_BT, _ = load_policy(folder, LocalBackend()).logprobs(*inputs, with_entropy=False)
    assert logp_BT.dtype == torch.float32
    torch.testing.assert_close(logp_BT, exact_BT, atol=0.1, rtol=0.1)


def test_what_transformers_cannot_load_keeps_its_reason(model_folder: Any) -> None:
    folder = model_folder()
    (folder / "config.json").write_text('{"model_type": "no_such_architecture"}')
    with pytest.raises(TrainingError, match="no_such_architecture"):
        load_policy(folder, LocalBackend())
