"""Samples from a server with an interface like OpenAI's: many requests at once, each with its own seed.

Axes: B rows (one sample each).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Generator, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from eval.sampler import Decoding, Lost, Response, SamplingError
from eval.samplers.exchange import DeadRequestError, Exchange, Reply
from eval.samplers.server import Server, find_server, make_client, secret
from eval.samplers.wire import Body, read_response, request

if TYPE_CHECKING:
    from eval.prompts import Prompt
    from eval.samplers.settings import EndpointSampling

Outcome = tuple[int, Response | Lost]
"""A row and what became of it."""

PATIENCE = 16
"""Dead requests in a row, at least, before a server is given up: a few bad prompts must not stand before all others."""


class EndpointSampler:
    """Samples of a served model; rows come in whatever order the server answers."""

    def __init__(self, settings: EndpointSampling, server: Server, subject: str) -> None:
        """A sampler for a server that is known (`connect` asks it).

        Args:
            settings: how it is asked.
            server: who answers.
            subject: whose samples these are.
        """
        self.settings = settings
        self.server = server
        self.subject = f"{subject}, served as {server.model}"
        self.batch = settings.batch
        self.name = f"endpoint {settings.api}"
        without = "" if settings.seeds else ", without seeds"
        more = f", with {json.dumps(settings.body, sort_keys=True)}" if settings.body else ""
        self.version = server.software + without + more

    @classmethod
    def connect(cls, settings: EndpointSampling, subject: str) -> EndpointSampler:
        """A sampler for the server at `settings.base_url`, which must answer now.

        Raises:
            SettingsError: it serves another model or does not say its version, or the key's variable is not set.
            SamplingError: it does not answer, or refuses.
        """
        return cls(settings, asyncio.run(find_server(settings)), subject)

    def sample(
        self, prompts: Sequence[Prompt], key_B: NDArray[np.uint64], decoding: Decoding
    ) -> list[Response]:
        """One response to each prompt, in order.

        Raises:
            SettingsError: a prompt lacks the form that is sent.
            SamplingError: one could not be had.
        """
        outcomes = dict(self.stream(prompts, key_B, decoding))
        lost = [outcome.reason for outcome in outcomes.values() if isinstance(outcome, Lost)]
        if lost:
            raise SamplingError(f"{len(lost)} of {len(prompts)} samples could not be had: {lost[0]}")
        found = [outcomes[row] for row in range(len(prompts))]
        return [outcome for outcome in found if isinstance(outcome, Response)]

    def stream(
        self, prompts: Sequence[Prompt], key_B: NDArray[np.uint64], decoding: Decoding
    ) -> Generator[Outcome, None, None]:
        """Every row once, as it comes; closing the generator gives the others up.

        Raises:
            SettingsError: a prompt lacks the form that is sent.
            SamplingError: the server refuses a request, or too many in a row failed (`PATIENCE`, or `concurrency`).
        """
        for prompt in {prompt.id: prompt for prompt in prompts}.values():
            self._request(prompt, 0, decoding)
        with asyncio.Runner() as runner:
            rows = self._rows(prompts, key_B.tolist(), decoding)
            try:
                while (outcome := runner.run(_next(rows))) is not None:
                    yield outcome
            finally:
                runner.run(_close(rows))

    async def _rows(
        self, prompts: Sequence[Prompt], keys: Sequence[int], decoding: Decoding
    ) -> AsyncGenerator[Outcome, None]:
        """Outcomes as they come, with as many requests under way as are allowed."""
        waiting = iter(range(len(prompts)))
        arrived: asyncio.Queue[Outcome | Exception] = asyncio.Queue()
        health = _Health(max(PATIENCE, self.settings.concurrency))

        async def work() -> None:
            try:
                for row in waiting:
                    path, body = self._request(prompts[row], keys[row], decoding)
                    arrived.put_nowait(await self._row(exchange, row, path, body, keys[row]))
            except Exception as error:
                arrived.put_nowait(error)

        async with make_client(self.settings) as client:
            exchange = Exchange(client, self.settings, secret(self.settings))
            workers = [asyncio.create_task(work()) for _ in prompts[: self.settings.concurrency]]
            try:
                for _ in prompts:
                    outcome = await arrived.get()
                    if isinstance(outcome, Exception):
                        for late in _arrived(arrived):
                            yield late
                        raise outcome
                    yield outcome
                    health.saw(outcome[1])
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)

    async def _row(self, exchange: Exchange, row: int, path: str, body: Body, key: int) -> Outcome:
        def read(reply: Reply) -> Response:
            if reply.status >= 300:
                raise exchange.refusal(reply)
            return read_response(reply.body, self.server.model, self.settings.api)

        try:
            return row, await exchange.ask("POST", path, read, body, key)
        except DeadRequestError as error:
            return row, Lost(str(error))

    def _request(self, prompt: Prompt, key: int, decoding: Decoding) -> tuple[str, Body]:
        return request(
            prompt, key, decoding, self.settings, self.server.model, open_server=self.server.is_open
        )


class _Health:
    """Gives a server up that answered none of so many requests."""

    def __init__(self, allowed: int) -> None:
        self._allowed = allowed
        self._lost = 0

    def saw(self, outcome: Response | Lost) -> None:
        """Count what became of a request.

        Raises:
            SamplingError: that was one too many.
        """
        self._lost = self._lost + 1 if isinstance(outcome, Lost) else 0
        if isinstance(outcome, Lost) and self._lost >= self._allowed:
            raise SamplingError(outcome.reason)


def _arrived(queue: asyncio.Queue[Outcome | Exception]) -> Iterator[Outcome]:
    """What came beside a refusal, which ends everything."""
    while not queue.empty():
        outcome = queue.get_nowait()
        if not isinstance(outcome, Exception):
            yield outcome


async def _next(rows: AsyncGenerator[Outcome, None]) -> Outcome | None:
    return await anext(rows, None)


async def _close(rows: AsyncGenerator[Outcome, None]) -> None:
    await rows.aclose()
