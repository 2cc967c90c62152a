"""Who writes the samples: the protocol of a sampler, and the sampler over a local policy.

Axes: B rows (one sample each).
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from prefix_rft.errors import PrefixRftError, SettingsError

if TYPE_CHECKING:
    from eval.prompts import Prompt
    from prefix_rft.local.policy import Policy


class SamplingError(PrefixRftError):
    """Samples could not be made; those that were are kept."""


@dataclass(frozen=True, slots=True)
class Response:
    """What the policy wrote to one prompt."""

    text: str
    tokens: int
    """Tokens written, end-of-sequence token included."""
    finished: bool
    """Whether it ended by itself."""


@dataclass(frozen=True)
class Decoding:
    """How tokens are chosen."""

    max_new: int
    """Longest response in tokens."""
    temperature: float
    """0 is greedy."""
    top_p: float
    """1 keeps every token."""


class Sampler(Protocol):
    """Writes responses; row b depends on its prompt, its key and the weights, never on the other rows."""

    @property
    def name(self) -> str:
        """What it is, for the protocol."""

    @property
    def version(self) -> str:
        """Its software with versions, for the protocol."""

    @property
    def subject(self) -> str:
        """Whose samples these are, e.g. run and checkpoint; samples of two subjects are never mixed."""

    @property
    def batch(self) -> int:
        """Rows that are best asked for together."""

    def sample(
        self, prompts: Sequence[Prompt], key_B: NDArray[np.uint64], decoding: Decoding
    ) -> list[Response]:
        """One response to each prompt, in order."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A row that got no response."""

    reason: str


@runtime_checkable
class StreamingSampler(Sampler, Protocol):
    """A sampler whose rows come one by one, in whatever order; some may get lost on the way."""

    def stream(
        self, prompts: Sequence[Prompt], key_B: NDArray[np.uint64], decoding: Decoding
    ) -> Generator[tuple[int, Response | Lost], None, None]:
        """Every row once, as it comes; closing the generator gives the others up.

        Raises:
            SamplingError: no further row can be had.
        """


class Decoder(Protocol):
    """The half of an encoder that sampling needs."""

    def decode(self, ids: Sequence[int]) -> str:
        """Text of the ids, special tokens dropped."""


class LocalSampler:
    """Samples of a policy in this process."""

    def __init__(
        self,
        policy: Policy,
        decoder: Decoder,
        *,
        subject: str,
        batch: int,
        name: str = "local",
        version: str | None = None,
    ) -> None:
        """Wrap a policy.

        Args:
            policy: the weights to sample from.
            decoder: ids to text.
            subject: whose samples these are, e.g. `run 0123456789ab step 60`.
            batch: most rows decoded together.
            name: for the protocol.
            version: for the protocol; by default that of float32 weights in this environment.
        """
        self.policy = policy
        self.decoder = decoder
        self.subject = subject
        self.batch = batch
        self.name = name
        self.version = version or local_version()

    def sample(
        self, prompts: Sequence[Prompt], key_B: NDArray[np.uint64], decoding: Decoding
    ) -> list[Response]:
        """One response to each prompt, in order, `batch` rows at a time.

        Raises:
            SettingsError: a prompt has no token ids, or does not fit the policy's context with the longest
                response.
        """
        rows = token_ids(prompts)
        must_fit(rows, decoding.max_new, self.policy.context_length)
        return [
            response
            for start in range(0, len(rows), self.batch)
            for response in self._generate(
                rows[start : start + self.batch], key_B[start : start + self.batch], decoding
            )
        ]

    def _generate(
        self, prompts: Sequence[Sequence[int]], key_B: NDArray[np.uint64], decoding: Decoding
    ) -> list[Response]:
        made = self.policy.generate(
            prompts,
            max_new=[decoding.max_new] * len(prompts),
            key_B=key_B,
            start_B=[0] * len(prompts),
            temperature=decoding.temperature,
            top_p=decoding.top_p,
        )
        return [
            Response(self.decoder.decode(ids), len(ids), finished)
            for ids, finished in zip(made.tokens, made.finished, strict=True)
        ]


def token_ids(prompts: Sequence[Prompt]) -> list[tuple[int, ...]]:
    """The prompts as token ids.

    Raises:
        SettingsError: one has none.
    """
    for prompt in prompts:
        if prompt.ids is None:
            raise SettingsError(
                f"question {prompt.id!r} has no token ids, which this sampler continues; render the prompts with "
                "the model's own tokenizer, or ask an endpoint, which takes text"
            )
    return [prompt.ids for prompt in prompts if prompt.ids is not None]


def must_fit(rows: Sequence[Sequence[int]], max_new: int, context: int) -> None:
    """Refuse prompts that leave no room for the longest response.

    Raises:
        SettingsError: the longest prompt and the longest response exceed the context.
    """
    longest = max(map(len, rows), default=0)
    if longest + max_new > context:
        raise SettingsError(
            f"a prompt of {longest} tokens and a response of up to {max_new} exceed the model's context of "
            f"{context}; lower the longest response (max_tokens; for runs data.max_response_tokens, "
            "data.max_prompt_tokens)"
        )


def local_version() -> str:
    """The software a local sample depends on, without its build tag (+cpu, +cu128); imports none of it."""
    return ", ".join(f"{name} {version(name).partition('+')[0]}" for name in ("torch", "transformers"))
