"""A request to a server and its reply, with repetitions; a fault either passes or is final, and says what it was."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from eval.sampler import SamplingError
from prefix_rft import keyed

if TYPE_CHECKING:
    import httpx

    from eval.samplers.settings import EndpointSampling

LONGEST_WAIT = 60.0
"""Seconds between two repetitions, unless the server asks for more."""
LONGEST_RETRY_AFTER = 600.0
LARGEST_REPLY = 64 * 1024 * 1024
"""Bytes; no response of any protocol comes near."""
_PASSING = (408, 425, 429)
_EXCERPT = 300

Read = TypeVar("Read")


class PassingError(Exception):
    """Something that a repetition may mend."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class DeadRequestError(SamplingError):
    """All repetitions failed in passing ways; other requests may still be answered."""


@dataclass(frozen=True)
class Reply:
    """An answer of a server that was reached."""

    status: int
    body: dict[str, Any]


class Exchange:
    """Requests to one server, at most `concurrency` of them under way."""

    def __init__(self, client: httpx.AsyncClient, settings: EndpointSampling, secret: str | None) -> None:
        """Take a client.

        Args:
            client: connected to `settings.base_url`.
            settings: retries and time-outs.
            secret: what must never be printed, even where a server repeats it.
        """
        self._client = client
        self._settings = settings
        self._secret = secret

    async def ask(
        self,
        method: Literal["GET", "POST"],
        path: str,
        read: Callable[[Reply], Read],
        body: dict[str, Any] | None = None,
        key: int = 0,
    ) -> Read:
        """What `read` makes of the reply to a request.

        Args:
            method: of HTTP.
            path: after `base_url`, or a whole address.
            read: gets replies of every status but those that ask for patience; its `PassingError` is one like others.
            body: sent as JSON.
            key: varies the waits.

        Raises:
            DeadRequestError: no usable reply, after all repetitions.
        """
        repetitions = self._settings.retries
        for attempt in range(repetitions + 1):
            try:
                return read(await self._once(method, path, body))
            except PassingError as fault:
                if attempt == repetitions:
                    raise self._dead(repetitions + 1, fault) from fault
                await asyncio.sleep(self._wait(attempt, key, fault.retry_after))
        raise AssertionError("the last attempt returns or raises")

    def refusal(self, reply: Reply) -> SamplingError:
        """The error for a request that the server will never take, with the server's own words."""
        hint = {
            401: ". Set sampler.api_key_env to the name of the environment variable that holds the key",
            403: ". The key in the variable that sampler.api_key_env names may not use this model",
            404: ". Look at sampler.base_url (it ends in the version, e.g. /v1), sampler.api and sampler.model",
        }.get(reply.status, "")
        return SamplingError(
            f"{self._settings.base_url} refuses with status {reply.status}: {self._hidden(_message(reply.body))}{hint}"
        )

    def _dead(self, attempts: int, fault: PassingError) -> DeadRequestError:
        times = "once" if attempts == 1 else f"{attempts} times"
        return DeadRequestError(
            f"{self._settings.base_url} failed {times}, last with: {self._hidden(str(fault))}. "
            "See whether the server runs; sampler.retries, timeout_seconds and concurrency say how it is asked"
        )

    async def _once(self, method: str, path: str, body: dict[str, Any] | None) -> Reply:
        import httpx

        seconds = self._settings.timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                status, headers, raw = await self._read(method, path, body)
        except TimeoutError:
            raise PassingError(f"no whole reply within {seconds:g} s") from None
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise PassingError(f"{type(error).__name__}: {error}".rstrip(": ")) from error
        if status in _PASSING or status >= 500:
            raise PassingError(f"status {status}: {_message(_said(raw))}", _retry_after(headers))
        if status < 300 and _parsed(raw) is None:
            raise PassingError(f"a reply that is no JSON object: {_excerpt(raw) or 'nothing at all'}")
        return Reply(status, _said(raw))

    async def _read(
        self, method: str, path: str, body: dict[str, Any] | None
    ) -> tuple[int, httpx.Headers, bytes]:
        async with self._client.stream(method, path, json=body) as response:
            chunks, size = [], 0
            async for chunk in response.aiter_bytes():
                chunks.append(chunk)
                size += len(chunk)
                if size > LARGEST_REPLY:
                    raise PassingError(f"a reply of more than {LARGEST_REPLY >> 20} MiB")
            return response.status_code, response.headers, b"".join(chunks)

    def _wait(self, attempt: int, key: int, retry_after: float | None) -> float:
        """Longer each time; between half and one and a half of it, so that requests do not come back together."""
        if retry_after is not None:
            return retry_after
        varied = 0.5 + keyed.share("retry", key, attempt)
        return min(self._settings.backoff_seconds * 2.0**attempt, LONGEST_WAIT) * varied

    def _hidden(self, text: str) -> str:
        return text.replace(self._secret, "***") if self._secret else text


def _parsed(raw: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _said(raw: bytes) -> dict[str, Any]:
    """The object, or what else was said as a message."""
    parsed = _parsed(raw)
    return {"message": _excerpt(raw)} if parsed is None else parsed


def _message(body: dict[str, Any]) -> str:
    """What an error says for itself: OpenAI's, vLLM's and FastAPI's places, else all of it."""
    error = body.get("error")
    places = (
        error.get("message") if isinstance(error, dict) else error,
        body.get("message"),
        body.get("detail"),
    )
    words = next((place for place in places if place), body)
    if not any(body.values()):
        return "no further word"
    return _shortened(words if isinstance(words, str) else json.dumps(words))


def _excerpt(raw: bytes) -> str:
    return _shortened(raw[: 4 * _EXCERPT].decode(errors="replace").strip())


def _shortened(text: str) -> str:
    return text if len(text) <= _EXCERPT else text[:_EXCERPT] + " ..."


def _retry_after(headers: httpx.Headers) -> float | None:
    """Seconds that the server asks for; dates are left to our own waits."""
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return min(seconds, LONGEST_RETRY_AFTER) if seconds >= 0 else None
