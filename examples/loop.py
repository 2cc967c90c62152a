"""Prefix-RFT from a demonstration to updated weights, in one readable file without classes.

The task: sort digits. Prompt `350521=`, expert's response `012355$`. A tiny random Qwen2 is first taught the
format by solutions that are often wrong: 8% of what it writes is right. 40 steps of Prefix-RFT make it
about 40%; `python examples/loop.py` takes about 12 seconds on one CPU core.

Axes: B rows (responses), L tokens of prompt and response, T response tokens, V vocabulary.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel, Qwen2Config, Qwen2ForCausalLM

from prefix_rft import keyed
from prefix_rft.advantage import advantages
from prefix_rft.clipping import kept_BT
from prefix_rft.objective import ImitationRule, PpoClip, row_scale, surrogate
from prefix_rft.prefix import prefix_length
from prefix_rft.rollout import QuestionTokens, RolloutBatch, StepContext, TokenWeights
from prefix_rft.settings.method import Clipping
from prefix_rft.settings.schedule import CosinePrefix

DIGITS = 6
ALPHABET = "0123456789=$"
EOS = ALPHABET.index("$")
PROMPT = RESPONSE = DIGITS + 1  # tokens: `=` ends a prompt, `$` a response
QUESTIONS, ROLLOUTS = 16, 8  # questions of a rollout step; rollouts of a question, the last one hybrid
MINI_BATCHES = 2  # optimizer steps of a rollout step


# ------------------------------------------------------------------------------------------------ the task


def encode(text: str) -> tuple[int, ...]:
    """Characters to token ids."""
    return tuple(ALPHABET.index(character) for character in text)


def solve(digits: list[int], slip: float, rng: np.random.Generator) -> str:
    """The digits in order; each is replaced by a random one with probability `slip`."""
    return "".join(str(rng.integers(10) if rng.random() < slip else digit) for digit in sorted(digits)) + "$"


def make_question(*name: str | int) -> QuestionTokens:
    """A question with the expert's demonstration; the same name is the same question."""
    rng = keyed.generator("question", *name)
    digits = rng.integers(0, 10, DIGITS).tolist()
    expert = solve(digits, slip=0.0, rng=rng)
    return QuestionTokens(
        id="-".join(map(str, name)),
        prompt=encode("".join(map(str, digits)) + "="),
        answer=expert,
        demonstration=encode(expert),
    )


def reward(response: list[int], answer: str) -> float:
    """1 if the response is the answer and ends there."""
    return float("".join(ALPHABET[token] for token in response) == answer)


# ---------------------------------------------------------------------------------------------- the policy


def make_policy(seed: int) -> PreTrainedModel:
    """A tiny randomly initialised Qwen2."""
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=len(ALPHABET),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=PROMPT + RESPONSE,
        tie_word_embeddings=True,
    )
    return Qwen2ForCausalLM(config)


def score(policy: PreTrainedModel, ids_BL: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities and entropies of the response tokens; [B, T] both."""
    logp_BTV = policy(ids_BL[:, :-1]).logits[:, PROMPT - 1 :].log_softmax(-1)
    logp_BT = logp_BTV.gather(-1, ids_BL[:, PROMPT:, None])[..., 0]
    return logp_BT, -(logp_BTV.exp() * logp_BTV).sum(-1)


@torch.no_grad()
def write(
    policy: PreTrainedModel, prompts: list[tuple[int, ...]], prefixes: list[tuple[int, ...]], keys: list[int]
) -> Tensor:
    """Continue every prefix to RESPONSE tokens; [B, L]. A row's tokens belong to its key alone."""
    position_T = np.arange(RESPONSE, dtype=np.uint64)
    uniform_BT = torch.from_numpy(keyed.uniforms(np.array(keys, dtype=np.uint64), position_T))
    prefix_length_B = torch.tensor([len(prefix) for prefix in prefixes])
    rows = [(*prompt, *prefix) for prompt, prefix in zip(prompts, prefixes, strict=True)]
    ids_BL = torch.tensor([[*row, *[EOS] * (PROMPT + RESPONSE - len(row))] for row in rows])
    for position in range(RESPONSE):
        probability_BV = policy(ids_BL[:, : PROMPT + position]).logits[:, -1].double().softmax(-1)
        drawn_B = (
            (probability_BV.cumsum(-1) < uniform_BT[:, position, None]).sum(-1).clamp(max=len(ALPHABET) - 1)
        )
        imitated_B = position < prefix_length_B
        ids_BL[:, PROMPT + position] = torch.where(imitated_B, ids_BL[:, PROMPT + position], drawn_B)
    return ids_BL


def teach_the_format(policy: PreTrainedModel, steps: int, slip: float, seed: int) -> None:
    """The base model: imitate solutions that are often wrong, so that rewards are there but rare."""
    rng = keyed.generator("base", seed)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=3e-3, weight_decay=0.0)
    for _ in range(steps):
        digits_BN = rng.integers(0, 10, (64, DIGITS)).tolist()
        rows = ["".join(map(str, digits)) + "=" + solve(digits, slip, rng) for digits in digits_BN]
        loss = -score(policy, torch.tensor([encode(row) for row in rows]))[0].mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


# ---------------------------------------------------------------------------------- one rollout step, bare


def roll_out(
    policy: PreTrainedModel, questions: list[QuestionTokens], at: StepContext
) -> tuple[Tensor, RolloutBatch]:
    """ROLLOUTS responses a question, the last from a prefix of its demonstration; token ids and grades."""
    prefixes: list[tuple[int, ...]] = []
    for question in questions:
        assert question.demonstration is not None
        length = prefix_length(
            CosinePrefix(),
            len(question.demonstration),
            question_id=question.id,
            prefix_id=0,
            at=at,
            min_tokens=1,
            max_response_tokens=RESPONSE,
        )
        prefixes += [()] * (ROLLOUTS - 1) + [question.demonstration[:length]]
    asked = [(question, rollout) for question in questions for rollout in range(ROLLOUTS)]
    keys = [keyed.key("rollout", at.seed, question.id, at.step, rollout) for question, rollout in asked]
    ids_BL = write(policy, [question.prompt for question, _ in asked], prefixes, keys)
    responses = [cut_at_end(row) for row in ids_BL[:, PROMPT:].tolist()]
    return ids_BL, RolloutBatch(
        question_B=torch.arange(len(asked)) // ROLLOUTS,
        rollout_B=torch.tensor([rollout for _, rollout in asked]),
        prefix_id_B=torch.tensor([0 if prefix else -1 for prefix in prefixes]),
        prefix_length_B=torch.tensor([len(prefix) for prefix in prefixes]),
        response_length_B=torch.tensor([len(response) for response in responses]),
        reward_B=torch.tensor([reward(r, q.answer) for r, (q, _) in zip(responses, asked, strict=True)]),
    )


def cut_at_end(response: list[int]) -> list[int]:
    """The response up to and with its end-of-sequence token."""
    return response[: response.index(EOS) + 1] if EOS in response else response


def weigh(batch: RolloutBatch, entropy_BT: Tensor, at: StepContext, part: int) -> TokenWeights:
    """Weights of one mini-batch: each token's advantage, and 0 on the prefix tokens that are clipped away."""
    advantage = advantages(batch, baseline="reference", divide_by_std=False)
    rng = keyed.generator("clipping", at.seed, at.step, part)
    kept = kept_BT(batch, batch.imitated_BT(), entropy_BT, Clipping(keep=0.5), rng)
    return TokenWeights(
        alpha_BT=advantage.own_B[:, None] * batch.explored_BT(),
        beta_BT=advantage.prefix_B[:, None] * kept,
    )


def update(
    policy: PreTrainedModel,
    optimizer: torch.optim.Optimizer,
    ids_BL: Tensor,
    batch: RolloutBatch,
    at: StepContext,
) -> None:
    """One optimizer step a mini-batch of whole questions; old log-probabilities come before the first."""
    with torch.no_grad():
        old_logp_BT, entropy_BT = score(policy, ids_BL)
    for part, index in enumerate(torch.arange(len(batch)).chunk(MINI_BATCHES)):
        rows = batch.rows(index)
        logp_BT = score(policy, ids_BL[index])[0][:, : rows.width]
        found = surrogate(
            logp_BT,
            old_logp_BT[index, : rows.width],
            weigh(rows, entropy_BT[index, : rows.width], at, part),
            response_BT=rows.response_BT(),
            imitated_BT=rows.imitated_BT(),
            imitation=ImitationRule("ratio"),
            clip=PpoClip(),
        )
        length_B = rows.response_length_B
        scale_B = row_scale("constant", length_B, len(rows), int(length_B.sum()), constant=RESPONSE)
        optimizer.zero_grad()
        loss = (found.loss_BT * scale_B[:, None]).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimizer.step()


# ------------------------------------------------------------------------------------------------- the run


def train(steps: int, base_steps: int = 150, seed: int = 0) -> list[float]:
    """Mean reward of the ordinary rollouts of every rollout step."""
    policy = make_policy(seed)
    teach_the_format(policy, base_steps, slip=0.3, seed=seed)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=1e-3, weight_decay=0.0)
    rewards = []
    for step in range(steps):
        at = StepContext(seed=seed, step=step, total_steps=steps)
        questions = [make_question(seed, step, i) for i in range(QUESTIONS)]
        ids_BL, batch = roll_out(policy, questions, at)
        update(policy, optimizer, ids_BL, batch, at)
        ordinary, hybrid = batch.reward_B[~batch.hybrid_B].mean(), batch.reward_B[batch.hybrid_B].mean()
        prefix = batch.prefix_length_B[batch.hybrid_B].float().mean()
        print(f"step {step + 1:3d}  reward {ordinary:.3f}  hybrid {hybrid:.3f}  prefix {prefix:.1f} tokens")
        rewards.append(float(ordinary))
    return rewards


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=40, help="rollout steps")
    parser.add_argument("--seed", type=int, default=0, help="of the model, the questions and every draw")
    given = parser.parse_args()
    train(given.steps, seed=given.seed)
