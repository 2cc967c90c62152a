"""The fast model against `transformers`: logits, log-probabilities, gradients, saved folders."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from prefix_rft.local.convert import unfuse
from prefix_rft.local.fast_policy import FastPolicy
from prefix_rft.local.packing import pack
from prefix_rft.local.policy import Policy, load_policy
from prefix_rft.settings import LocalBackend

REPOSITORY = Path(__file__).parents[3]
SHAPES: list[dict[str, Any]] = [
    {"family": family, "tie_embeddings": tied, "key_value_heads": key_value_heads, "layers": layers}
    for family in ("qwen2", "llama")
    for tied in (True, False)
    for key_value_heads, layers in ((4, 1), (2, 2), (1, 3))
]


def fast(folder: Path) -> FastPolicy:
    policy = load_policy(folder, LocalBackend(fast_path="on"))
    assert isinstance(policy, FastPolicy)
    return policy


def logits(policy: FastPolicy, ids_BL: torch.Tensor) -> torch.Tensor:
    rows, width = ids_BL.shape
    followed_BL = torch.nn.functional.pad(ids_BL, (0, 1))  # every token predicts another
    packed = pack(followed_BL, torch.ones(rows, dtype=torch.int64), torch.full((rows,), width))
    hidden_rd = policy.model.hidden(packed)[torch.from_numpy(packed.response_r)]
    return torch.nn.functional.linear(hidden_rd, policy.model.head_weight()).view(rows, width, -1)


def padded_rows() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rows of prompt and response of different lengths; the padding holds real token ids."""
    ids_BL = torch.randint(2, 13, (4, 15), generator=torch.Generator().manual_seed(0))
    return ids_BL, torch.tensor([3, 1, 7, 5]), torch.tensor([12, 4, 1, 6])


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "-".join(map(str, shape.values())))
def test_logits_agree_with_transformers(model_folder: Any, shape: dict[str, Any]) -> None:
    folder = model_folder(**shape)
    ids_BL = torch.randint(0, 13, (3, 40), generator=torch.Generator().manual_seed(1))
    theirs = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        expected = theirs(ids_BL).logits
        torch.testing.assert_close(logits(fast(folder), ids_BL), expected, atol=1e-5, rtol=1e-5)


def test_a_head_size_apart_from_the_width_and_another_rotary_base(model_folder: Any, tmp_path: Path) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=13, hidden_size=24, intermediate_size=20, num_hidden_layers=2, num_attention_heads=3,
        num_key_value_heads=1, head_dim=16, max_position_embeddings=64, rope_theta=500.0, rms_norm_eps=1e-3,
    )  # fmt: skip
    theirs = LlamaForCausalLM(config).eval()
    theirs.save_pretrained(tmp_path)
    ids_BL = torch.randint(0, 13, (2, 50), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(
            logits(fast(tmp_path), ids_BL), theirs(ids_BL).logits, atol=1e-5, rtol=1e-5
        )


@pytest.mark.parametrize("family", ["qwen2", "llama"])
def test_a_trained_model_saved_here_is_the_same_model_in_transformers(
    model_folder: Any, tmp_path: Path, family: str
) -> None:
    policy = fast(model_folder(family=family, key_value_heads=2, tie_embeddings=family == "llama"))
    ids_BL, prompt_B, response_B = padded_rows()
    optimizer = torch.optim.AdamW(policy.parameters(), lr=0.01)
    for _ in range(3):
        optimizer.zero_grad()
        policy.logprobs(ids_BL, prompt_B, response_B, with_entropy=False)[0].sum().neg().backward()
        optimizer.step()
    policy.save(tmp_path)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(logits(policy, ids_BL), theirs(ids_BL).logits, atol=1e-5, rtol=1e-5)


def expected_logprobs(
    folder: Path, temperature: float, backward: bool = False
) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
    """Row by row, without padding, with `transformers`."""
    ids_BL, prompt_B, response_B = padded_rows()
    model = AutoModelForCausalLM.from_pretrained(folder)
    logp_BT, entropy_BT = torch.zeros(4, 12), torch.zeros(4, 12)
    for row, (prompt, response) in enumerate(zip(prompt_B.tolist(), response_B.tolist(), strict=True)):
        ids_1L = ids_BL[row : row + 1, : prompt + response]
        all_TV = (model(ids_1L).logits[0, prompt - 1 : -1] / temperature).log_softmax(-1)
        logp_BT[row, :response] = all_TV.gather(1, ids_1L[0, prompt:, None])[:, 0]
        entropy_BT[row, :response] = -(all_TV.exp() * all_TV).sum(-1)
    if backward:
        weighted_sum(logp_BT, entropy_BT).backward()
    return logp_BT, entropy_BT, {name: w.grad for name, w in model.named_parameters() if w.grad is not None}


def weighted_sum(logp_BT: torch.Tensor, entropy_BT: torch.Tensor) -> torch.Tensor:
    weight_2BT = torch.randn(2, *logp_BT.shape, generator=torch.Generator().manual_seed(2))
    return (weight_2BT[0] * logp_BT + weight_2BT[1] * entropy_BT).sum()


@pytest.mark.parametrize("path", ["on", "off"])
@pytest.mark.parametrize("temperature", [1.0, 0.6])
@pytest.mark.parametrize("budget", [1, 1 << 24])
def test_log_probabilities_and_entropies_of_responses(
    model_folder: Any, path: Any, temperature: float, budget: int
) -> None:
    folder = model_folder(key_value_heads=2)
    policy = load_policy(folder, LocalBackend(fast_path=path, logits_budget=budget))
    logp_BT, entropy_BT = policy.logprobs(*padded_rows(), with_entropy=True, temperature=temperature)
    assert entropy_BT is not None
    expected_logp_BT, expected_entropy_BT, _ = expected_logprobs(folder, temperature)
    torch.testing.assert_close(logp_BT, expected_logp_BT, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(entropy_BT, expected_entropy_BT, atol=1e-5, rtol=1e-5)
    alone_BT, none = policy.logprobs(*padded_rows(), with_entropy=False, temperature=temperature)
    assert none is None
    assert torch.equal(alone_BT, logp_BT)


@pytest.mark.parametrize("family", ["qwen2", "llama"])
@pytest.mark.parametrize("tied", [True, False])
def test_gradients_agree_with_transformers(model_folder: Any, family: str, tied: bool) -> None:
    folder = model_folder(family=family, tie_embeddings=tied, key_value_heads=2, layers=3)
    policy = fast(folder)
    logp_BT, entropy_BT = policy.logprobs(*padded_rows(), with_entropy=True)
    assert entropy_BT is not None
    weighted_sum(logp_BT, entropy_BT).backward()
    fused = {name: weight.grad for name, weight in policy.named_parameters() if weight.grad is not None}
    ours = unfuse(fused, policy.model.shape)
    *_, theirs = expected_logprobs(folder, 1.0, backward=True)
    assert ours.keys() == theirs.keys()
    for name, gradient in theirs.items():
        torch.testing.assert_close(
            ours[name], gradient, atol=1e-4, rtol=1e-4, msg=lambda m, name=name: f"{name}: {m}"
        )


def test_padding_changes_nothing(model_folder: Any) -> None:
    policy = fast(model_folder())
    ids_BL, prompt_B, response_B = padded_rows()
    before, _ = policy.logprobs(ids_BL, prompt_B, response_B, with_entropy=False)
    ends_B = prompt_B + response_B
    other_BL = torch.where(torch.arange(15) < ends_B[:, None], ids_BL, 0)
    after, _ = policy.logprobs(other_BL, prompt_B, response_B, with_entropy=False)
    assert torch.equal(before, after)


def test_rows_that_share_a_prompt_get_what_they_get_alone(model_folder: Any) -> None:
    """Values and gradients; the fast path computes a shared prompt once."""
    policy = fast(model_folder(key_value_heads=2, layers=3))
    ids_BL, _, response_B = padded_rows()
    ids_BL[1:, :3] = ids_BL[0, :3]
    prompt_B = torch.tensor([3, 3, 2, 3])
    response_B = torch.minimum(response_B, 15 - prompt_B)
    together_BT, _ = policy.logprobs(ids_BL, prompt_B, response_B, with_entropy=False)
    together_BT.sum().backward()
    gradients = {name: weight.grad for name, weight in policy.named_parameters()}
    for weight in policy.parameters():
        weight.grad = None
    for row in range(4):
        alone = policy.logprobs(
            *(x[row : row + 1] for x in (ids_BL, prompt_B, response_B)), with_entropy=False
        )[0]
        torch.testing.assert_close(together_BT[row : row + 1, : alone.shape[1]], alone, atol=1e-5, rtol=1e-5)
        alone.sum().backward()
    for name, weight in policy.named_parameters():
        torch.testing.assert_close(gradients[name], weight.grad, atol=1e-4, rtol=1e-4)


def test_both_paths_train_the_same_number_of_weights(model_folder: Any) -> None:
    folder = model_folder(tie_embeddings=False)
    policies: list[Policy] = [load_policy(folder, LocalBackend(fast_path=path)) for path in ("on", "off")]
    counts = [sum(weight.numel() for weight in policy.parameters()) for policy in policies]
    assert counts[0] == counts[1] == sum(w.numel() for w in load_file(folder / "model.safetensors").values())


def test_the_fast_path_loads_no_model_classes(model_folder: Any, tmp_path: Path) -> None:
    """A toy run must stay small: `transformers`, pandas, pyarrow and wandb cost up to 130 MB each."""
    code = (
        "import sys; from pathlib import Path; from prefix_rft.local.policy import load_policy\n"
        "from prefix_rft.settings import LocalBackend\n"
        f"load_policy(Path({str(model_folder())!r}), LocalBackend()).save(Path({str(tmp_path)!r}))\n"
        "print([m for m in ('transformers', 'pandas', 'pyarrow', 'wandb', 'ray') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
