"""Every method of the table, as the trainer updates by it: golden gradients, any split, named tokens, measured parts.

The policy looks its logits up in a table, in float64: its gradient has a formula without autograd, and no rounding
depends on the split. A method that joins the table of methods is covered without a line here.

Axes: B rows, L tokens of prompt and response, T response tokens, V vocabulary, K contexts of the table.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, tensor

from prefix_rft.local.optimizer import Optimizer
from prefix_rft.local.rollouts import Responses
from prefix_rft.local.scoring import Parts, Split, TokenBudget, Uneven
from prefix_rft.local.update import Batching, LossRule, UpdateReport, update
from prefix_rft.methods import METHODS, Method, make_method
from prefix_rft.rollout import QuestionTokens, RolloutBatch, StepContext, TokenWeights
from prefix_rft.settings import OptimisationSettings
from prefix_rft.settings.method import MethodSettings
from prefix_rft.settings.optimisation import Aggregation

GOLDEN = Path(__file__).parents[2] / "fixtures/golden/method_gradients.json"
VOCABULARY, PROMPT, BUDGET, ROLLOUTS = 5, 2, 8, 4
AT = StepContext(seed=5, step=2, total_steps=10)
WHOLE = Batching(1 << 20, skip_zero_weight_rows=False)
DEMONSTRATION = (3, 0, 4, 2, 2, 1)
QUESTIONS = [
    QuestionTokens(f"q{q}", (q,), "", None if q == 1 else (*DEMONSTRATION[q:], *DEMONSTRATION[:q]))
    for q in range(4)
]
REWARDS = ((1, 0, 0, 1), (1, 1, 0, 0), (0, 1, 0, 0), (0, 0, 1, 1))
"""Of each question's rollouts."""

HALF = {"kind": "constant", "share": 0.5}
KNOWN: dict[str, dict[str, Any]] = {
    "uft": {"hint": "stage", "coefficient": 0.5},
    "dr_po": {"schedule": HALF},
    "prefix_rft": {"schedule": HALF, "clipping": {"keep": 0.5}},
}
"""Settings that take chance out of a method's prefixes; without an entry a method has its defaults."""
VARIANTS: dict[str, dict[str, Any]] = {
    "grpo": {"name": "rft", "divide_by_std": True},
    "rft_clipped": {"name": "rft", "clipping": {"keep": 0.5}},
    "luffy_clipped": {"name": "luffy", "clip_explored": True},
    "uft_cosine": {"name": "uft"},
    "prefix_rft_frozen": {"name": "prefix_rft", "clipping": {"keep": 0.0}},
    "prefix_rft_static": {"name": "prefix_rft", "schedule": HALF, "static_weight": 0.001},
    "prefix_rft_clip": {"name": "prefix_rft", "clip_prefix": True, "baseline": "reference_v2"},
    "prefix_rft_random": {"name": "prefix_rft", "clipping": {"keep": 0.5, "select": "random"}},
    "prefix_rft_group": {
        "name": "prefix_rft",
        "hybrid_rollouts": 2,
        "baseline": "group",
        "divide_by_std": True,
    },
}
NAMED = {
    "sft": "imitated",
    "rft": "explored",
    "sft_rft": "explored",
    "rl_sft_loss": "explored imitated",
    "uft": "explored imitated",
    "luffy": "explored imitated",
    "relift": "explored",
    "dr_po": "explored",
    "prefix_rft": "explored imitated",
    "prefix_rft_frozen": "explored",
    "prefix_rft_static": "explored imitated",
}
"""Which tokens a method updates, in words."""


def _settings(name: str, **changes: Any) -> MethodSettings:
    kinds = {kind.model_fields["name"].default: kind for kind in get_args(get_args(MethodSettings)[0])}
    rollouts = {"rollouts": ROLLOUTS} if "rollouts" in kinds[name].model_fields else {}
    settings: MethodSettings = kinds[name].model_validate({"name": name, **rollouts, **changes})
    return settings


CASES = {name: _settings(name, **KNOWN.get(name, {})) for name in METHODS} | {
    variant: _settings(**changes) for variant, changes in VARIANTS.items()
}


class Table:
    """A policy of logits [K, V]: a context is the token before, or, where it is not shared, a row and a position."""

    path, context_length, device = "general", BUDGET + PROMPT, torch.device("cpu")

    def __init__(self, *, contexts: int = VOCABULARY, shared: bool = True) -> None:
        # Written out, so that the golden numbers can be worked out anywhere.
        self.logits_KV = torch.nn.Parameter(2 * torch.sin(torch.arange(contexts * VOCABULARY).double() + 1))
        self.logits_KV.data = self.logits_KV.data.reshape(contexts, VOCABULARY)
        self.shared = shared

    def contexts(self, ids_BL: Tensor, width: int) -> Tensor:
        """[B, T]: rows of the table; a prompt starts with the number of its row and ends with its question's."""
        if self.shared:
            return ids_BL[:, PROMPT - 1 : PROMPT - 1 + width]
        return ids_BL[:, :1] * BUDGET + torch.arange(width)

    def logprobs(
        self,
        ids_BL: Tensor,
        prompt_length_B: Tensor,
        response_length_B: Tensor,
        *,
        with_entropy: bool,
        temperature: float = 1.0,
    ) -> tuple[Tensor, Tensor | None]:
        width = int(response_length_B.max())
        response_BT = torch.arange(width) < response_length_B[:, None]
        logp_BTV = (self.logits_KV[self.contexts(ids_BL, width)] / temperature).log_softmax(-1)
        logp_BT = logp_BTV.gather(-1, ids_BL[:, PROMPT : PROMPT + width, None])[..., 0] * response_BT
        entropy_BT = -(logp_BTV.exp() * logp_BTV).sum(-1) * response_BT
        return logp_BT.float(), entropy_BT.float() if with_entropy else None

    def named_parameters(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        yield "logits", self.logits_KV

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        yield self.logits_KV


class Recorder(Optimizer):
    """Keeps the gradient of every optimizer step, and moves far enough for clips to bind afterwards."""

    def __init__(self, policy: Table) -> None:
        self.policy, self.gradients = policy, []

    def zero_grad(self) -> None:
        self.policy.logits_KV.grad = None

    def step(self) -> float:
        found = self.policy.logits_KV.grad
        gradient = torch.zeros_like(self.policy.logits_KV) if found is None else found.clone()
        self.gradients.append(gradient)
        norm = float(gradient.norm())
        with torch.no_grad():
            self.policy.logits_KV.sub_(2 * gradient / (norm + 1e-30))
        return norm


def _responses(method: Method, questions: list[QuestionTokens]) -> Responses:
    """What the method asks for; the policy's part is made up."""
    asked = [(q, ask) for q, question in enumerate(questions) for ask in method.requests(question, AT)]
    rows = [[*ask.prefix, *([] if ask.complete else _written(q, ask.rollout))][:BUDGET] for q, ask in asked]
    longest = max(map(len, rows))
    ids = [[b, asked[b][0], *row, *[0] * (longest - len(row))] for b, row in enumerate(rows)]
    rewards = [float(REWARDS[q][ask.rollout % ROLLOUTS]) * ask.graded for q, ask in asked]
    batch = RolloutBatch(
        question_B=tensor([q for q, _ in asked]),
        rollout_B=tensor([ask.rollout for _, ask in asked]),
        prefix_id_B=tensor([ask.prefix_id for _, ask in asked]),
        prefix_length_B=tensor([len(ask.prefix) for _, ask in asked]),
        response_length_B=tensor([len(row) for row in rows]),
        reward_B=tensor(rewards),
    )
    finished_B = torch.ones(len(rows), dtype=torch.bool)
    return Responses(tensor(ids), torch.full((len(rows),), PROMPT), batch, finished_B, 0, {}, {})


def _written(question: int, rollout: int) -> list[int]:
    return [(question + 2 * rollout + 3 * t) % VOCABULARY for t in range(2 + (question + rollout) % 3)]


@dataclass
class Run:
    """One rollout step's update by one method."""

    method: Method
    responses: Responses
    policy: Table
    gradients: list[Tensor]
    report: UpdateReport

    @property
    def batch(self) -> RolloutBatch:
        return self.responses.batch


def _run(
    name: str,
    *,
    questions: list[QuestionTokens] = QUESTIONS[:2],
    shared: bool = True,
    batching: Batching = WHOLE,
    spoil: Callable[[TokenWeights], TokenWeights] = lambda weights: weights,
    **rule: Any,
) -> Run:
    method = make_method(CASES[name], BUDGET)
    responses = _responses(method, questions)
    stated = method.weights
    method.weights = lambda *given: spoil(stated(*given))  # type: ignore[method-assign]
    policy = Table() if shared else Table(contexts=len(responses.batch) * BUDGET, shared=False)
    phase = getattr(OptimisationSettings(), method.phase)
    settings = replace(LossRule.of(phase, BUDGET), **{"mini_batches": 1, "gradient_norms_every": 0, **rule})
    recorder = Recorder(policy)
    report = update(policy, recorder, method, responses, settings, batching, AT)
    return Run(method, responses, policy, recorder.gradients, report)


# The gradient itself.

_GROUP = (0.5, -0.5, -0.5, 0.5, 0.5, 0.5, -0.5, -0.5)
"""Rewards 1 0 0 1 and 1 1 0 0 less their means: all eight rollouts are one's own."""
_OTHERS = (2 / 3, -1 / 3, -1 / 3)
"""Rewards 1 0 0 less their mean: the fourth row is no ordinary rollout."""
_SECOND = _GROUP[4:]


@dataclass(frozen=True)
class ByHand:
    """Weights of two questions' rows, the second question without a demonstration, before any scale."""

    explored: tuple[float, ...]
    """Of each row's explored tokens."""
    rows: int
    """Explored tokens are divided by C = 8 times this."""
    imitated: dict[int, tuple[float, ...]]
    """Of the imitated tokens of some rows."""
    divisor: float = 1.0
    """Imitated tokens are divided by this."""
    shaping: float | None = None
    """gamma of p / (p + gamma)."""


BY_HAND = {
    "sft": ByHand((0.0,), 1, {0: (1,) * 6}, divisor=6),
    "rft": ByHand(_GROUP, 8, {}),
    "sft_rft": ByHand(_GROUP, 8, {}),
    "rl_sft_loss": ByHand((*_OTHERS, 0.0, *_SECOND), 7, {3: (1,) * 6}, divisor=6),
    # Step 2 of 6 with hints is the second of five stages: 3 parts of 5, 3 tokens of 6, in four rows.
    "uft": ByHand(_GROUP, 8, dict.fromkeys(range(4), (0.5,) * 3), divisor=12),
    "luffy": ByHand(_GROUP, 8, {3: (0.5,) * 6}, divisor=64, shaping=0.1),
    "relift": ByHand(_GROUP, 8, {}),
    "dr_po": ByHand(_GROUP, 8, {}),
    # Three imitated tokens, int(3 / 2) = 1 is dropped: the one of lowest entropy, which is the second.
    "prefix_rft": ByHand((*_OTHERS, 1.0, *_SECOND), 8, {3: (2 / 3, 0, 2 / 3)}, divisor=64),
}


def _gradient_by_hand(name: str, run: Run) -> Tensor:
    """grad = - sum of weight * grad log pi, token by token; grad log pi(y | x) is onehot(y) - pi(x) at context x."""
    hand, policy = BY_HAND[name], Table()
    gradient_KV = torch.zeros_like(policy.logits_KV)
    probability_KV = policy.logits_KV.detach().softmax(-1)
    for b, explored in enumerate(hand.explored):
        length, imitated = int(run.batch.response_length_B[b]), hand.imitated.get(b, ())
        start = int(run.batch.prefix_length_B[b])
        for t in range(length):
            context, token = run.responses.ids_BL[b, PROMPT + t - 1 : PROMPT + t + 1].tolist()
            p = float(probability_KV[context, token])
            weight = explored / (BUDGET * hand.rows)
            if t < start:
                weight = imitated[t] / hand.divisor if imitated else 0.0
                weight *= hand.shaping * p / (p + hand.shaping) ** 2 if hand.shaping else 1.0
            onehot_V = torch.eye(VOCABULARY)[token]
            gradient_KV[context] -= weight * (onehot_V - probability_KV[context])
    return gradient_KV


@pytest.mark.parametrize("name", BY_HAND)
def test_golden_gradients(name: str) -> None:
    golden_KV = tensor(json.loads(GOLDEN.read_text())[name], dtype=torch.float64)
    run = _run(name)
    torch.testing.assert_close(_gradient_by_hand(name, run), golden_KV, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(run.gradients[0], golden_KV, rtol=1e-5, atol=1e-8)


def test_golden_gradients_are_of_methods_that_exist() -> None:
    assert set(json.loads(GOLDEN.read_text())) == set(BY_HAND) <= set(METHODS)


# Which tokens move.


@pytest.mark.parametrize("name", CASES)
def test_only_tokens_that_the_method_names_have_a_gradient(name: str) -> None:
    """Every response token has logits of its own."""
    run = _run(name, questions=QUESTIONS, shared=False)
    gradient_BTV = run.gradients[0].reshape(-1, BUDGET, VOCABULARY)[:, : run.batch.width]
    moved_BT = (gradient_BTV != 0).any(-1)
    _, entropy_BT = Table(contexts=len(run.batch) * BUDGET, shared=False).logprobs(
        run.responses.ids_BL,
        run.responses.prompt_length_B,
        run.batch.response_length_B,
        with_entropy=True,
    )
    weights = run.method.weights(run.batch, entropy_BT, AT, 0)
    assert torch.equal(moved_BT, (weights.alpha_BT != 0) | (weights.beta_BT != 0))
    assert not (moved_BT & ~run.batch.response_BT()).any()
    sides = {"explored": run.batch.explored_BT(), "imitated": run.batch.imitated_BT()}
    words = " ".join(side for side, there_BT in sides.items() if (moved_BT & there_BT).any())
    assert words == NAMED.get(name, words)
    assert words


# The split.


def _shuffled(length_B: Tensor) -> list[Tensor]:
    order = torch.randperm(len(length_B), generator=torch.Generator().manual_seed(0))
    return list(order.split(3))


SPLITS: list[Split] = [Parts(2), Parts(4), Uneven(), Parts(1 << 10), TokenBudget(21), _shuffled]


AGGREGATED = [(name, aggregation) for name in METHODS for aggregation in get_args(Aggregation)]


@pytest.mark.parametrize(("name", "aggregation"), [*AGGREGATED, *[(name, "constant") for name in VARIANTS]])
def test_no_split_changes_gradients_or_metrics(name: str, aggregation: Aggregation) -> None:
    rule = {"aggregation": aggregation, "mini_batches": 2, "entropy_coefficient": 0.01}
    whole = _run(name, questions=QUESTIONS, **rule)
    assert len(whole.gradients) == 2
    assert all(gradient.abs().max() > 1e-6 for gradient in whole.gradients)
    for split in SPLITS:
        _assert_same(_run(name, questions=QUESTIONS, batching=replace(WHOLE, split=split), **rule), whole)


@pytest.mark.parametrize("name", CASES)
def test_rows_without_a_weight_can_be_skipped(name: str) -> None:
    """As long as there is no entropy bonus: the counts are the mini-batch's, whether or not a row is looked at."""
    whole = _run(name, questions=QUESTIONS, mini_batches=2)
    for tokens in (21, 1 << 20):
        found = _run(name, questions=QUESTIONS, mini_batches=2, batching=Batching(tokens, True))
        _assert_same(found, whole)


def _assert_same(found: Run, wanted: Run) -> None:
    for ours, theirs in zip(found.gradients, wanted.gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)
    assert found.report.metrics() == pytest.approx(wanted.report.metrics(), rel=1e-5, abs=1e-7)


def test_luffy_leaves_the_ratios_of_explored_tokens_unclipped() -> None:
    """Both rules agree until the first step, which moves the second mini-batch's ratios out of the bounds."""
    free, clipped = (_run(name, questions=QUESTIONS, mini_batches=2) for name in ("luffy", "luffy_clipped"))
    assert torch.equal(free.gradients[0], clipped.gradients[0])
    assert free.report.clipped == clipped.report.clipped > 0
    assert not torch.allclose(free.gradients[1], clipped.gradients[1], atol=1e-4)


# The measured parts.


@pytest.mark.parametrize("name", CASES)
def test_imitated_and_explored_parts_are_what_two_backward_passes_give(name: str) -> None:
    def only_imitated(weights: TokenWeights) -> TokenWeights:
        return replace(weights, alpha_BT=torch.zeros_like(weights.alpha_BT))

    def only_explored(weights: TokenWeights) -> TokenWeights:
        return replace(weights, beta_BT=torch.zeros_like(weights.beta_BT))

    whole = _run(name)
    (imitated,), (explored,) = (
        _run(name, spoil=only_imitated).gradients,
        _run(name, spoil=only_explored).gradients,
    )
    torch.testing.assert_close(imitated + explored, whole.gradients[0], rtol=1e-9, atol=1e-12)
    measured = _run(name, gradient_norms_every=1, batching=Batching(21, skip_zero_weight_rows=True))
    if not bool(whole.batch.imitated_BT().any()):
        assert measured.report.norm_imitated == []
        return
    norms = (measured.report.norm_imitated[0], measured.report.norm_explored[0])
    assert norms == pytest.approx((float(imitated.norm()), float(explored.norm())), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_measuring_changes_no_bit_of_the_gradient(name: str) -> None:
    plain, measured = (
        _run(name, questions=QUESTIONS, mini_batches=2, gradient_norms_every=every) for every in (0, 1)
    )
    for ours, theirs in zip(measured.gradients, plain.gradients, strict=True):
        assert torch.equal(ours, theirs)
