"""Who answers at an address: the models served there, and the software with its version."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from eval.samplers.exchange import Exchange, PassingError, Reply
from eval.samplers.wire import OPEN_SERVERS
from prefix_rft.errors import SettingsError, unknown

if TYPE_CHECKING:
    import httpx

    from eval.samplers.settings import EndpointSampling

_VERSION_PATHS = ("/version", "/server_info", "/get_server_info")
"""Where vLLM and SGLang say their version; beside the API, not below it."""
_NO_LIST = (404, 405, 501)


@dataclass(frozen=True)
class Server:
    """Who answers."""

    model: str
    """The server's name of the model."""
    software: str
    """With its version."""

    @property
    def is_open(self) -> bool:
        """Whether it takes decoding settings beyond OpenAI's."""
        return self.software.lower().startswith(OPEN_SERVERS)


async def find_server(settings: EndpointSampling) -> Server:
    """Ask the server who it is.

    Raises:
        SettingsError: it serves another model, or does not say its version; or the key's variable is not set.
        SamplingError: it does not answer, or refuses.
    """
    async with make_client(settings) as client:
        exchange = Exchange(client, settings, secret(settings))
        owners = await _owners(exchange)
        model = _choose(settings, owners)
        software = settings.server or await _software(exchange, settings, owners.get(model))
    return Server(model, software)


def make_client(settings: EndpointSampling) -> httpx.AsyncClient:
    """A client for the server; it has no time-outs of its own, since the whole exchange has one."""
    import httpx

    key = secret(settings)
    return httpx.AsyncClient(
        base_url=settings.base_url,
        headers={"Authorization": f"Bearer {key}"} if key else {},
        timeout=None,
        limits=httpx.Limits(
            max_connections=settings.concurrency, max_keepalive_connections=settings.concurrency
        ),
    )


def secret(settings: EndpointSampling) -> str | None:
    """The key, from the environment.

    Raises:
        SettingsError: the variable that should hold it is empty or not set.
    """
    if settings.api_key_env is None:
        return None
    key = os.environ.get(settings.api_key_env, "").strip()
    if not key:
        raise SettingsError(
            f"sampler.api_key_env={settings.api_key_env}: that environment variable is not set; export it, or leave "
            "the setting out for a server without keys"
        )
    return key


async def _owners(exchange: Exchange) -> dict[str, str]:
    """The models served, each with who serves it ("" where unsaid); empty where the server keeps no list."""

    def read(reply: Reply) -> dict[str, str]:
        if reply.status in _NO_LIST:
            return {}
        if reply.status >= 300:
            raise exchange.refusal(reply)
        rows = reply.body.get("data")
        if not isinstance(rows, list):
            raise PassingError(f"a list of models without data: {str(reply.body)[:200]}")
        named = [row for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)]
        return {row["id"]: str(row.get("owned_by") or "") for row in named}

    return await exchange.ask("GET", "/models", read)


def _choose(settings: EndpointSampling, owners: dict[str, str]) -> str:
    if settings.model is not None:
        if owners and settings.model not in owners:
            raise SettingsError(
                f"sampler.model, at {settings.base_url}: {unknown('model', settings.model, owners)}"
            )
        return settings.model
    if len(owners) != 1:
        served = f"serves {', '.join(sorted(owners))}" if owners else "does not list its models"
        raise SettingsError(f"{settings.base_url} {served}; say which with sampler.model")
    return next(iter(owners))


async def _software(exchange: Exchange, settings: EndpointSampling, owner: str | None) -> str:
    def read(reply: Reply) -> str:
        version = reply.body.get("version") if reply.status == 200 else None
        return version if isinstance(version, str) else ""

    for path in _VERSION_PATHS if (owner or "").lower() in OPEN_SERVERS else ():
        version = await exchange.ask("GET", urljoin(settings.base_url, path), read)
        if version:
            return f"{owner} {version.partition('+')[0]}"
    raise SettingsError(
        f"{settings.base_url} does not say which software in which version answers, which belongs to the "
        "protocol; name it, e.g. sampler.server='sglang 0.5.4'"
    )
