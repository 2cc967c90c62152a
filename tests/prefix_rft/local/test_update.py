"""An update's gradient is the method's formula, however its rows are packed.

Axes: B rows, T response tokens, V vocabulary, n imitated tokens of a mini-batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from prefix_rft.errors import TrainingError
from prefix_rft.local import convert
from prefix_rft.local.fast_policy import FastPolicy
from prefix_rft.local.optimizer import Optimizer
from prefix_rft.local.policy import Policy, load_policy
from prefix_rft.local.rollouts import Responses, make_responses
from prefix_rft.local.transformers_policy import TransformersPolicy
from prefix_rft.local.update import Batching, LossRule, UpdateReport, update
from prefix_rft.methods import make_method
from prefix_rft.rollout import RolloutBatch, StepContext, TokenWeights
from prefix_rft.settings import LocalBackend, RlPhase, SftPhase
from prefix_rft.settings.method import (
    Clipping,
    LuffyMethod,
    MethodSettings,
    PrefixRftMethod,
    RftMethod,
    RlSftLossMethod,
    SftMethod,
    UftMethod,
)
from prefix_rft.settings.optimisation import Aggregation

QUESTIONS, ROLLOUTS, BUDGET = 6, 4, 20
AT = StepContext(seed=3, step=2, total_steps=6)
WHOLE = Batching(micro_batch_tokens=1 << 20, skip_zero_weight_rows=False)
PACKINGS = [
    Batching(micro_batch_tokens=1, skip_zero_weight_rows=False),
    Batching(micro_batch_tokens=1, skip_zero_weight_rows=True),
    Batching(micro_batch_tokens=130, skip_zero_weight_rows=False),
    Batching(micro_batch_tokens=1 << 20, skip_zero_weight_rows=True),
]


@dataclass(frozen=True)
class Case:
    method: MethodSettings
    rl: dict[str, Any] = field(default_factory=dict)


HALF = Clipping(keep=0.5)
CASES = {
    "sft": Case(SftMethod()),
    "rft": Case(RftMethod(rollouts=ROLLOUTS)),
    "prefix_rft": Case(PrefixRftMethod(rollouts=ROLLOUTS, clipping=HALF)),
    "clip_prefix": Case(PrefixRftMethod(rollouts=ROLLOUTS, clipping=HALF, clip_prefix=True)),
    "reference_v2": Case(PrefixRftMethod(rollouts=ROLLOUTS, clipping=HALF, baseline="reference_v2")),
    "group": Case(PrefixRftMethod(rollouts=ROLLOUTS, clipping=HALF, baseline="group")),
    "lowest": Case(PrefixRftMethod(rollouts=ROLLOUTS, clipping=Clipping(keep=0.2, select="lowest"))),
    "random": Case(PrefixRftMethod(rollouts=ROLLOUTS, clipping=Clipping(keep=0.5, select="random"))),
    "current": Case(PrefixRftMethod(rollouts=ROLLOUTS, clipping=HALF), {"entropy_of": "current"}),
    "cold": Case(PrefixRftMethod(rollouts=ROLLOUTS, clipping=HALF), {"temperature": 0.7}),
    "bonus": Case(PrefixRftMethod(rollouts=ROLLOUTS, clipping=HALF), {"entropy_coefficient": 0.05}),
}

# Aggregations and variants are independent of each other: every variant once, every method under all aggregations.
PAIRS = [(name, "constant") for name in CASES] + [
    (name, aggregation)
    for name in ("sft", "rft", "prefix_rft")
    for aggregation in get_args(Aggregation)
    if aggregation != "constant"
]
# Imitated tokens that enter otherwise; test_conformance.py has their formula.
PACKED = {
    "rl_sft_loss": Case(RlSftLossMethod(rollouts=ROLLOUTS)),
    "luffy": Case(LuffyMethod(rollouts=ROLLOUTS)),
    "uft": Case(UftMethod(rollouts=ROLLOUTS, coefficient=0.1)),
    "rft_clipped": Case(RftMethod(rollouts=ROLLOUTS, clipping=HALF)),
}


def _phase(case: Case, aggregation: Aggregation) -> RlPhase | SftPhase:
    if isinstance(case.method, SftMethod):
        return SftPhase(aggregation=aggregation)
    return RlPhase(aggregation=aggregation, mini_batches=2, **case.rl)


class Recorder(Optimizer):
    """Keeps the weights and the gradient of every optimizer step, and moves the weights by the gradient itself.

    AdamW divides by the gradient's size: its first step would turn rounding into whole steps.
    """

    def __init__(self, policy: Policy, phase: RlPhase | SftPhase, folder: Path) -> None:
        super().__init__(policy, phase, updates=2)
        self.policy, self.folder = policy, folder
        self.gradients: list[dict[str, Tensor]] = []

    def step(self) -> float:
        self.policy.save(self.folder / f"before_{len(self.gradients)}")
        gradient = {name: p.grad.clone() for name, p in self.policy.named_parameters() if p.grad is not None}
        self.gradients.append(gradient)
        norm = torch.cat([g.flatten() for g in gradient.values()]).norm()
        with torch.no_grad():
            for name, parameter in self.policy.named_parameters():
                parameter.sub_(gradient[name] / norm)
        return float(norm)

    def under_their_names(self) -> list[dict[str, Tensor]]:
        """The gradients under the names of `transformers`."""
        if isinstance(self.policy, FastPolicy):
            return [convert.unfuse(gradient, self.policy.model.shape) for gradient in self.gradients]
        return self.gradients


@dataclass
class Bench:
    """The embedded task's responses, and updates of a fresh policy on them."""

    task: Any
    grader: Any
    folder: Path
    backend: LocalBackend = field(default_factory=LocalBackend)

    def policy(self) -> Policy:
        policy = load_policy(self.task.model, self.backend)
        if isinstance(policy, TransformersPolicy):
            _learning_padding(policy.model)
        return policy

    def responses(self, case: Case) -> Responses:
        phase = _phase(case, "constant")
        return make_responses(
            self.policy(),
            make_method(case.method, BUDGET),
            self.task.questions[:QUESTIONS],
            AT,
            encoder=self.task.encoder,
            grader=self.grader,
            max_response=BUDGET,
            temperature=LossRule.of(phase, BUDGET).temperature,
        )

    def update(
        self, case: Case, responses: Responses, aggregation: Aggregation, batching: Batching
    ) -> tuple[Recorder, UpdateReport]:
        policy, phase = self.policy(), _phase(case, aggregation)
        recorder = Recorder(policy, phase, self.folder)
        method, rule = make_method(case.method, BUDGET), LossRule.of(phase, BUDGET)
        return recorder, update(policy, recorder, method, responses, rule, batching, AT)


@pytest.fixture
def bench(chain_task: Any, coin: Any, tmp_path: Path) -> Bench:
    return Bench(chain_task, coin, tmp_path)


def _assert_same(found: Sequence[dict[str, Tensor]], wanted: Sequence[dict[str, Tensor]]) -> None:
    assert len(found) == len(wanted)
    for part, (ours, theirs) in enumerate(zip(found, wanted, strict=True)):
        assert ours.keys() == theirs.keys()
        largest = max(float(gradient.abs().max()) for gradient in theirs.values())
        assert largest > 1e-4
        for name, gradient in theirs.items():
            torch.testing.assert_close(
                ours[name], gradient, rtol=1e-3, atol=3e-5 * largest, msg=f"mini-batch {part}, {name}"
            )


@pytest.mark.parametrize(("name", "aggregation"), PAIRS + [(name, "constant") for name in PACKED])
def test_packing_changes_neither_gradient_nor_metrics(
    bench: Bench, name: str, aggregation: Aggregation
) -> None:
    case = {**CASES, **PACKED}[name]
    responses = bench.responses(case)
    whole, wanted = bench.update(case, responses, aggregation, WHOLE)
    for packing in PACKINGS:
        if packing.skip_zero_weight_rows and case.rl.get("entropy_coefficient"):
            continue  # refused by the settings: the bonus needs all rows
        split, report = bench.update(case, responses, aggregation, packing)
        _assert_same(split.gradients, whole.gradients)
        assert report.metrics() == pytest.approx(wanted.metrics(), rel=1e-3, abs=1e-6)


@pytest.mark.parametrize(("name", "aggregation"), [pair for pair in PAIRS if pair[0] != "random"])
def test_the_gradient_is_the_formula(bench: Bench, name: str, aggregation: Aggregation) -> None:
    case = CASES[name]
    responses = bench.responses(case)
    recorder, _ = bench.update(case, responses, aggregation, WHOLE)
    _assert_same(
        recorder.under_their_names(), Formula(case, aggregation, responses, bench.folder).gradients()
    )


def test_the_general_path_has_the_same_gradient(bench: Bench) -> None:
    bench.backend = LocalBackend(fast_path="off")
    case = CASES["prefix_rft"]
    responses = bench.responses(case)
    recorder, _ = bench.update(case, responses, "constant", PACKINGS[2])
    assert recorder.policy.path == "general"
    _assert_same(recorder.under_their_names(), Formula(case, "constant", responses, bench.folder).gradients())


def _learning_padding(model: Any) -> Any:
    """Without the rule of `transformers` that the padding token's embedding learns nothing as an input.

    An untrained model writes that token now and then.
    """
    model.get_input_embeddings().padding_idx = None
    return model


class Formula:
    """The update as docs/method.md states it, one row at a time, on the model of `transformers`."""

    def __init__(self, case: Case, aggregation: Aggregation, responses: Responses, folder: Path) -> None:
        self.case, self.aggregation, self.responses, self.folder = case, aggregation, responses, folder
        self.batch = responses.batch

    def gradients(self) -> list[dict[str, Tensor]]:
        """Of each mini-batch: the first half of the questions, then the second; of all at once for sft."""
        count = 1 if isinstance(self.case.method, SftMethod) else 2
        return [self._gradient(part, QUESTIONS // count) for part in range(count)]

    def _gradient(self, part: int, questions: int) -> dict[str, Tensor]:
        rows = [b for b in range(len(self.batch)) if int(self.batch.question_B[b]) // questions == part]
        old, model = self._model(0), self._model(part)
        with torch.no_grad():
            before = {b: self._logp_and_entropy(old, b) for b in rows}
        now = {b: self._logp_and_entropy(model, b) for b in rows}
        selects = now if self.case.rl.get("entropy_of") == "current" else before
        kept = self._kept(rows, {b: selects[b][1].detach() for b in rows})
        lengths = {b: int(self.batch.response_length_B[b]) for b in rows}
        loss = torch.zeros(())
        for b in rows:
            loss_T = self._row(b, before[b][0], *now[b], kept[b])
            loss = loss + self._share(loss_T.sum(), lengths[b], len(rows), sum(lengths.values()))
        loss.backward()  # type: ignore[no-untyped-call]
        return {name: p.grad for name, p in model.named_parameters()}

    def _model(self, part: int) -> Any:
        """The model as it was before an optimizer step."""
        from transformers import AutoConfig, AutoModelForCausalLM

        folder = self.folder / f"before_{part}"
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
        model.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
        return _learning_padding(model)

    def _logp_and_entropy(self, model: Any, b: int) -> tuple[Tensor, Tensor]:
        start, length = int(self.responses.prompt_length_B[b]), int(self.batch.response_length_B[b])
        ids = self.responses.ids_BL[b, : start + length]
        logits_TV = model(ids[None]).logits[0, start - 1 : -1] / self.case.rl.get("temperature", 1.0)
        logp_TV = logits_TV.log_softmax(-1)
        return logp_TV.gather(-1, ids[start:, None])[:, 0], -(logp_TV.exp() * logp_TV).sum(-1)

    def _kept(self, rows: list[int], entropy: dict[int, Tensor]) -> dict[int, Tensor]:
        """Which imitated tokens keep their weight: by entropy over the whole mini-batch."""
        lengths = [int(self.batch.prefix_length_B[b]) for b in rows]
        entropy_n = torch.cat([entropy[b][:length] for b, length in zip(rows, lengths, strict=True)])
        kept_n = torch.ones(len(entropy_n), dtype=torch.bool)
        if isinstance(self.case.method, PrefixRftMethod):
            clipping = self.case.method.clipping
            dropped = int(len(entropy_n) * (1 - clipping.keep) + 1e-9)
            kept_n[entropy_n.argsort(descending=clipping.select == "lowest")[:dropped]] = False
        return dict(zip(rows, torch.split(kept_n, lengths), strict=True))

    def _row(self, b: int, old_T: Tensor, logp_T: Tensor, entropy_T: Tensor, kept_n: Tensor) -> Tensor:
        prefix = int(self.batch.prefix_length_B[b])
        if isinstance(self.case.method, SftMethod):
            return -logp_T
        own, imitated = self._advantage(b)
        ratio_T = (logp_T - old_T).exp()
        clipped_T = ratio_T.clamp(0.8, 1.2)
        explored_T = torch.maximum(-own * ratio_T, -own * clipped_T)
        if own < 0:
            explored_T = explored_T.clamp(max=-own * 3.0)
        explored_T = explored_T - self.case.rl.get("entropy_coefficient", 0.0) * entropy_T
        imitated_T = -imitated * ratio_T
        if getattr(self.case.method, "clip_prefix", False):
            imitated_T = torch.maximum(imitated_T, -imitated * clipped_T)
            imitated_T = imitated_T.clamp(max=-imitated * 3.0) if imitated < 0 else imitated_T
        return torch.cat([imitated_T[:prefix] * kept_n, explored_T[prefix:]])

    def _advantage(self, b: int) -> tuple[float, float]:
        """Of explored and of imitated tokens."""
        batch, reward = self.batch, float(self.batch.reward_B[b])
        group_B = batch.question_B == batch.question_B[b]
        baseline = getattr(self.case.method, "baseline", "group")
        if baseline == "group":
            advantage = reward - float(batch.reward_B[group_B].mean())
            return advantage, advantage
        ordinary = float(batch.reward_B[group_B & (batch.prefix_length_B == 0)].mean())
        if batch.prefix_length_B[b] == 0:
            return reward - ordinary, 0.0
        centred = reward if baseline == "reference" else 0.0
        return centred, centred - ordinary

    def _share(self, loss: Tensor, length: int, rows: int, tokens: int) -> Tensor:
        return {
            "constant": loss / (BUDGET * rows),
            "token_mean": loss / tokens,
            "seq_mean_token_sum": loss / rows,
            "seq_mean_token_mean": loss / (length * rows),
        }[self.aggregation]


def test_ratios_leave_one_in_the_second_mini_batch_only(bench: Bench) -> None:
    case = CASES["rft"]
    responses = bench.responses(case)
    moved = bench.update(case, responses, "constant", WHOLE)[1].metrics()
    assert moved["clip_fraction"] > 0
    assert abs(moved["approx_kl"]) > 1e-3
    once = Case(case.method)
    phase = RlPhase(mini_batches=1)
    policy = bench.policy()
    method, rule = make_method(once.method, BUDGET), LossRule.of(phase, BUDGET)
    optimizer = Recorder(policy, phase, bench.folder)
    still = update(policy, optimizer, method, responses, rule, WHOLE, AT).metrics()
    assert (still["clip_fraction"], still["approx_kl"]) == (0, 0)


@pytest.mark.parametrize("batching", [WHOLE, PACKINGS[3]])
def test_metrics_count_the_tokens_that_have_a_weight(bench: Bench, batching: Batching) -> None:
    """One question has a single right answer, all others are wrong throughout and teach nothing."""
    responses = bench.responses(CASES["rft"])
    reward_B = torch.zeros(QUESTIONS * ROLLOUTS)
    reward_B[1] = 1.0
    policy, phase = bench.policy(), RlPhase(mini_batches=2)
    with torch.no_grad():
        _, entropy_BT = policy.logprobs(
            responses.ids_BL, responses.prompt_length_B, responses.batch.response_length_B, with_entropy=True
        )
    report = _rft(policy, Optimizer(policy, phase, 2), _with_rewards(responses, reward_B), phase, batching)
    tokens = int(responses.batch.response_length_B[:ROLLOUTS].sum())
    assert (report.rows, report.explored_tokens, report.imitated_tokens) == (ROLLOUTS, tokens, 0)
    assert entropy_BT is not None
    wanted = float(entropy_BT[:ROLLOUTS].sum()) / tokens
    assert report.metrics()["entropy"] == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("batching", [WHOLE, PACKINGS[3]])
def test_without_an_advantage_not_a_bit_of_the_weights_changes(bench: Bench, batching: Batching) -> None:
    responses = bench.responses(CASES["rft"])
    solved = _with_rewards(responses, torch.ones(QUESTIONS * ROLLOUTS))
    policy, phase = bench.policy(), RlPhase(mini_batches=2, learning_rate=0.1)
    before = [p.detach().clone() for p in policy.parameters()]
    optimizer = Optimizer(policy, phase, 2)
    report = _rft(policy, optimizer, solved, phase, batching)
    assert all(torch.equal(p, was) for p, was in zip(policy.parameters(), before, strict=True))
    assert optimizer.updates_done == 2
    assert report.metrics() == dict.fromkeys(
        ("loss", "grad_norm", "updated_rows", "imitated_tokens", "explored_tokens"), 0
    )


def test_a_batch_that_teaches_nothing_moves_by_momentum_whether_its_rows_are_skipped_or_not(
    bench: Bench,
) -> None:
    responses = bench.responses(CASES["rft"])
    solved = _with_rewards(responses, torch.ones(QUESTIONS * ROLLOUTS))
    after = []
    for skip in (True, False):
        policy, phase = bench.policy(), RlPhase(mini_batches=2, learning_rate=1e-3)
        optimizer = Optimizer(policy, phase, 4)
        for batch in (responses, solved):
            _rft(policy, optimizer, batch, phase, Batching(1 << 20, skip))
        after.append(torch.cat([p.detach().flatten() for p in policy.parameters()]))
    torch.testing.assert_close(after[0], after[1], rtol=0, atol=1e-6)


def test_a_diverging_loss_is_refused_by_step_and_mini_batch(bench: Bench) -> None:
    responses = bench.responses(CASES["rft"])
    policy, phase = bench.policy(), RlPhase(mini_batches=2, learning_rate=1e30)
    with pytest.raises(TrainingError, match=r"rollout step 3, mini-batch 2: .*nan.*optimisation\.rl"):
        _rft(policy, Optimizer(policy, phase, 2), responses, phase, WHOLE)


def test_a_method_sees_only_its_mini_batch_and_each_one_once(bench: Bench) -> None:
    seen: list[tuple[int, list[int]]] = []

    class Watched(type(make_method(RftMethod(), BUDGET))):  # type: ignore[misc]
        def weights(
            self, batch: RolloutBatch, entropy_BT: Tensor | None, at: StepContext, part: int
        ) -> TokenWeights:
            seen.append((part, sorted(set(batch.question_B.tolist()))))
            weights: TokenWeights = super().weights(batch, entropy_BT, at, part)
            return weights

    responses, phase = bench.responses(CASES["rft"]), RlPhase(mini_batches=4)
    policy = bench.policy()
    method = Watched(RftMethod(rollouts=ROLLOUTS), BUDGET)
    optimizer = Optimizer(policy, phase, 4)
    update(policy, optimizer, method, responses, LossRule.of(phase, BUDGET), WHOLE, AT)
    assert seen == [(0, [0, 1]), (1, [2]), (2, [3, 4]), (3, [5])]


def _rft(
    policy: Policy, optimizer: Optimizer, responses: Responses, phase: RlPhase, batching: Batching
) -> UpdateReport:
    method = make_method(RftMethod(rollouts=ROLLOUTS), BUDGET)
    return update(policy, optimizer, method, responses, LossRule.of(phase, BUDGET), batching, AT)


def _with_rewards(responses: Responses, reward_B: Tensor) -> Responses:
    return replace(responses, batch=replace(responses.batch, reward_B=reward_B))
