"""A server like OpenAI's that misbehaves as it is told; bytes go over a real socket, so that clients cannot tell."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Heard:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: Json


@dataclass
class Fault:
    """What is done instead of a proper answer."""

    act: Callable[[socket.socket, bytes], None]
    """Gets the connection and the proper answer."""
    times: int = 1
    """How often; then the server behaves."""
    only: Callable[[Json], bool] = lambda body: True
    """Which requests it befalls, by their body."""


@dataclass
class Misbehaving:
    """Answers like vLLM, with the seed as text, except where a fault says otherwise."""

    model: str = "tiny"
    owner: str | None = "vllm"
    version: str | None = "9.9"
    key: str | None = None
    faults: list[Fault] = field(default_factory=list)
    """Befall requests for samples, in this order."""
    before: list[Fault] = field(default_factory=list)
    """Befall questions about the server."""
    edit: Callable[[Json], Json] = lambda reply: reply
    """Changes every reply to a request for a sample."""
    heard: list[Heard] = field(default_factory=list)
    most_at_once: int = 0
    url: str = ""
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def asked(self) -> list[Json]:
        """Bodies of all requests for samples."""
        return [heard.body for heard in self.heard if heard.method == "POST"]

    def serve(self, connection: socket.socket) -> None:
        """Answer requests of one connection until it ends."""
        with connection, suppress(OSError):
            connection.settimeout(30)
            while (heard := _hear(connection)) is not None:
                with self._lock:
                    self.heard.append(heard)
                    self._now += 1
                    self.most_at_once = max(self.most_at_once, self._now)
                    fault = self._fault(heard)
                answer = self._answer(heard)
                try:
                    if fault is None:
                        connection.sendall(answer)
                    else:
                        fault.act(connection, answer)
                finally:
                    with self._lock:
                        self._now -= 1

    def _fault(self, heard: Heard) -> Fault | None:
        for fault in self.faults if heard.method == "POST" else self.before:
            if fault.times > 0 and fault.only(heard.body):
                fault.times -= 1
                return fault
        return None

    def _answer(self, heard: Heard) -> bytes:
        if self.key and heard.headers.get("authorization") != f"Bearer {self.key}":
            given = heard.headers.get("authorization")
            return http(401, {"error": {"message": f"Incorrect API key provided: {given}"}})
        if heard.path == "/v1/models" and self.owner is not None:
            return http(200, {"data": [{"id": self.model, "owned_by": self.owner}]})
        if heard.path == "/version" and self.version is not None:
            return http(200, {"version": self.version})
        if heard.path in ("/v1/completions", "/v1/chat/completions"):
            return http(200, self.edit(self._reply(heard)))
        return http(404, {"detail": "Not Found"})

    def _reply(self, heard: Heard) -> Json:
        text = str(heard.body.get("seed"))
        said: Json = {"message": {"content": text}} if "chat" in heard.path else {"text": text}
        return {
            "model": self.model,
            "choices": [{**said, "finish_reason": "length" if text.endswith("7") else "stop"}],
            "usage": {"completion_tokens": len(text)},
        }


@contextmanager
def serving(server: Misbehaving) -> Iterator[Misbehaving]:
    """The server on a free port of this machine while the block lasts."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    server.url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    connections: list[socket.socket] = []

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connections.append(connection)
                threading.Thread(target=server.serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield server
    finally:
        for end in (listener, *connections):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


def http(status: int, body: Json | bytes, **headers: object) -> bytes:
    """A whole reply as bytes."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Status", "Content-Type: application/json", f"Content-Length: {len(raw)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + raw


def _hear(connection: socket.socket) -> Heard | None:
    raw = b""
    while b"\r\n\r\n" not in raw:
        if not (more := connection.recv(65536)):
            return None
        raw += more
    head, _, rest = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(rest) < int(headers.get("content-length", 0)):
        rest += connection.recv(65536)
    method, path, _ = first.split(" ")
    return Heard(method, path, headers, json.loads(rest) if rest else {})


def status(code: int, body: Json | bytes = b"", times: int = 1, **headers: object) -> Fault:
    """Answer with that status."""
    return instead(http(code, body, **headers), times)


def instead(raw: bytes, times: int = 1) -> Fault:
    """Send these bytes."""
    return Fault(lambda connection, answer: connection.sendall(raw), times)


def drop(times: int = 1) -> Fault:
    """Close the connection without a word."""
    return Fault(lambda connection, answer: connection.close(), times)


def truncate(times: int = 1) -> Fault:
    """Send half of the reply and close the connection."""

    def act(connection: socket.socket, answer: bytes) -> None:
        connection.sendall(answer[: -len(answer) // 4])
        connection.close()

    return Fault(act, times)


def hang(times: int = 1) -> Fault:
    """Accept the request and say nothing until the other side gives up."""
    return Fault(lambda connection, answer: _wait_for_the_end(connection), times)


def trickle(times: int = 1) -> Fault:
    """Send the reply so slowly that every read succeeds and none is the last."""

    def act(connection: socket.socket, answer: bytes) -> None:
        connection.settimeout(0.05)
        for byte in answer:
            connection.sendall(bytes([byte]))
            if _ended(connection):
                return

    return Fault(act, times)


def _wait_for_the_end(connection: socket.socket) -> None:
    while not _ended(connection):
        pass


def _ended(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
