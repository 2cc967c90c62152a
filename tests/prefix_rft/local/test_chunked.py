"""The chunked head against the plain computation: values, gradients, and the memory it saves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from prefix_rft.local.chunked import token_logprobs

REPOSITORY = Path(__file__).parents[3]


def plain(
    hidden_nd: Tensor, weight_Vd: Tensor, target_n: Tensor, bias_V: Tensor | None, temperature: float
) -> tuple[Tensor, Tensor]:
    logp_nV = (torch.nn.functional.linear(hidden_nd, weight_Vd, bias_V).float() / temperature).log_softmax(-1)
    return logp_nV.gather(1, target_n[:, None])[:, 0], -(logp_nV.exp() * logp_nV).sum(-1)


def inputs(tokens: int = 37, width: int = 8, vocabulary: int = 50) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(0)
    return {
        "hidden_nd": torch.randn(tokens, width, generator=random),
        "weight_Vd": torch.randn(vocabulary, width, generator=random),
        "bias_V": torch.randn(vocabulary, generator=random),
        "target_n": torch.randint(0, vocabulary, (tokens,), generator=random),
    }


def gradients(outputs: list[Tensor], leaves: list[Tensor]) -> tuple[Tensor, ...]:
    """Gradients of a sum in which every output of every token has its own weight."""
    random = torch.Generator().manual_seed(1)
    total = torch.cat([output * torch.randn(output.shape, generator=random) for output in outputs]).sum()
    return torch.autograd.grad(total, leaves, retain_graph=True)


def test_four_equal_logits() -> None:
    logp_n, entropy_n = token_logprobs(
        torch.ones(1, 2), torch.ones(4, 2), torch.tensor([3]), with_entropy=True
    )
    assert logp_n.tolist() == pytest.approx([-1.3862944])
    assert entropy_n is not None
    assert entropy_n.tolist() == pytest.approx([1.3862944])


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("budget", [1, 50 * 5, 50 * 37, 1 << 24], ids=["token", "uneven", "exact", "whole"])
def test_values_and_gradients_are_those_of_the_plain_computation(
    budget: int, with_bias: bool, temperature: float
) -> None:
    given = inputs()
    names = ["hidden_nd", "weight_Vd"] + ["bias_V"] * with_bias
    leaves = [given[name].requires_grad_() for name in names]
    bias_V = given["bias_V"] if with_bias else None
    logp_n, entropy_n = token_logprobs(
        given["hidden_nd"], given["weight_Vd"], given["target_n"],
        bias_V=bias_V, temperature=temperature, with_entropy=True, budget=budget,
    )  # fmt: skip
    assert entropy_n is not None
    expected = plain(given["hidden_nd"], given["weight_Vd"], given["target_n"], bias_V, temperature)
    torch.testing.assert_close((logp_n, entropy_n), expected, atol=1e-5, rtol=1e-5)
    for used in ([0], [1], [0, 1]):
        ours = gradients([(logp_n, entropy_n)[i] for i in used], leaves)
        theirs = gradients([expected[i] for i in used], leaves)
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_a_real_vocabulary_in_chunks_of_a_few_tokens() -> None:
    random = torch.Generator().manual_seed(0)
    leaves = [torch.randn(16, 64, generator=random), 0.2 * torch.randn(151_936, 64, generator=random)]
    leaves = [leaf.requires_grad_() for leaf in leaves]
    target_n = torch.randint(0, 151_936, (16,), generator=random)
    ours = token_logprobs(leaves[0], leaves[1], target_n, with_entropy=True, budget=3 * 151_936)
    theirs = plain(leaves[0], leaves[1], target_n, None, 1.0)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    assert ours[1] is not None
    torch.testing.assert_close(
        gradients([ours[0], ours[1]], leaves), gradients(list(theirs), leaves), atol=1e-5, rtol=1e-5
    )


def test_derivatives_agree_with_finite_differences() -> None:
    given = {name: tensor[:4].double() for name, tensor in inputs().items()}
    target_n = torch.tensor([0, 3, 1, 1])

    def both(hidden_nd: Tensor, weight_Vd: Tensor, bias_V: Tensor) -> tuple[Tensor, Tensor]:
        logp_n, entropy_n = token_logprobs(
            hidden_nd, weight_Vd, target_n, bias_V=bias_V, with_entropy=True, budget=8
        )
        assert entropy_n is not None
        return logp_n, entropy_n

    leaves = tuple(given[name].requires_grad_() for name in ("hidden_nd", "weight_Vd", "bias_V"))
    # Log-softmax is in float32 by design, hence the coarse step and tolerance.
    assert torch.autograd.gradcheck(both, leaves, eps=1e-2, atol=1e-2, rtol=1e-2)


def test_frozen_weights_get_no_gradient() -> None:
    given = inputs()
    given["hidden_nd"].requires_grad_()
    logp_n, _ = token_logprobs(given["hidden_nd"], given["weight_Vd"], given["target_n"])
    logp_n.sum().backward()
    assert given["hidden_nd"].grad is not None
    assert given["weight_Vd"].grad is None


def test_bfloat16_weights_keep_their_dtype_and_sum_their_gradient_in_float32() -> None:
    given = inputs(tokens=400)
    leaves = [given[name].bfloat16().requires_grad_() for name in ("hidden_nd", "weight_Vd")]
    logp_n, _ = token_logprobs(leaves[0], leaves[1], given["target_n"], budget=50)
    assert logp_n.dtype == torch.float32
    ours = torch.autograd.grad(logp_n.sum(), leaves)
    exact = [leaf.detach().float().requires_grad_() for leaf in leaves]
    expected = torch.autograd.grad(plain(exact[0], exact[1], given["target_n"], None, 1.0)[0].sum(), exact)
    assert [gradient.dtype for gradient in ours] == [torch.bfloat16, torch.bfloat16]
    # 400 chunks of one token: a running bfloat16 sum would be off by several per cent.
    error = (ours[1].float() - expected[1]).norm() / expected[1].norm()
    assert float(error) < 0.01


@pytest.mark.slow
def test_a_large_vocabulary_takes_less_than_an_eighth_of_its_logits() -> None:
    command = [
        sys.executable,
        "-m",
        "benchmarks.logits_memory",
        "--tokens",
        "4096",
        "--vocabulary",
        "151936",
        "--json",
    ]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    assert report["logits_mb"] == pytest.approx(4096 * 151936 * 4 / 1e6)
    assert report["peak_extra_mb"] < report["logits_mb"] / 8
