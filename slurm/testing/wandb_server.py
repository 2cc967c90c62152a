"""A W&B server on this machine that only remembers: what the real client sends over HTTP, and nothing else of W&B.

It takes what `wandb` 0.31 sends for one run (GraphQL, file_stream, uploads) and keeps runs as the real server does: a
history line has a number and is replaced by a later one of that number; a run that is resumed is told how many lines
there are and what the last one holds.
"""

from __future__ import annotations

import gzip
import json
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

HISTORY = "wandb-history.jsonl"


@dataclass
class Row:
    """One run as the server knows it."""

    lines: dict[int, str] = field(default_factory=dict)
    """History by number of the line."""
    opened: list[dict[str, Any]] = field(default_factory=list)
    """What each start of the client said of the run: name, group, tags, configuration."""
    resumed: list[bool] = field(default_factory=list)
    """Of each start: whether it asked what is there, and was told of a run."""
    exits: list[int] = field(default_factory=list)
    """Exit codes that the client ended it with."""

    @property
    def history(self) -> list[dict[str, Any]]:
        """The rows of the curve, in the order of the server's lines."""
        return [json.loads(self.lines[number]) for number in sorted(self.lines)]


@dataclass
class WandbServer:
    """What was said to it; the runs by id."""

    runs: dict[str, Row] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)
    """Values of the header Authorization."""
    url: str = ""
    refusing: bool = False
    """Every request is answered with 503 while this is set."""

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs in its environment, but for a key."""
        return {"WANDB_BASE_URL": self.url}

    def answer(self, path: str, body: bytes) -> dict[str, Any]:
        """The response to one request."""
        if path.endswith("/file_stream"):
            return self._stream(path.split("/")[-2], json.loads(body))
        if path != "/graphql":
            return {}
        asked = json.loads(body)
        return {"data": self._query(asked["query"], asked.get("variables") or {})}

    def _query(self, query: str, given: Mapping[str, Any]) -> dict[str, Any]:
        if "upsertBucket" in query:
            return {"upsertBucket": self._upsert(given)}
        if "RunResumeStatus" in query:
            return {"model": {"id": "p", "name": given["project"], **self._resume(given["name"])}}
        if "createRunFiles" in query:
            files = [{"name": name, "uploadUrl": f"{self.url}/upload/{name}"} for name in given["files"]]
            return {"createRunFiles": {"runID": given["run"], "uploadHeaders": [], "files": files}}
        return {}

    def _upsert(self, given: Mapping[str, Any]) -> dict[str, Any]:
        known = given["name"] in self.runs
        row = self.runs.setdefault(given["name"], Row())
        if given.get("displayName"):
            row.opened.append(dict(given))
            row.resumed.append(known)
        project = {"id": "p", "name": given["project"], "entity": {"id": "e", "name": "lab"}}
        names = {"id": "b", "name": given["name"], "displayName": given.get("displayName") or "run"}
        count = {"historyLineCount": len(row.lines), "config": given.get("config"), "sweepName": None}
        return {
            "bucket": {**names, **count, "description": None, "project": project},
            "inserted": not known,
        }

    def _resume(self, name: str) -> dict[str, Any]:
        entity = {"entity": {"id": "e", "name": "lab"}}
        row = self.runs.get(name)
        if row is None:
            return {**entity, "bucket": None}
        tail = [row.lines[max(row.lines)]] if row.lines else []
        counts = {"historyLineCount": len(row.lines), "eventsLineCount": 0, "logLineCount": 0}
        texts = {"historyTail": json.dumps(tail), "eventsTail": "[]", "summaryMetrics": "{}", "config": "{}"}
        more: dict[str, Any] = {"id": "b", "name": name, "displayName": name, "tags": [], "notes": None}
        return {**entity, "bucket": {**more, **counts, **texts, "wandbConfig": '{"t": 1}'}}

    def _stream(self, name: str, said: Mapping[str, Any]) -> dict[str, Any]:
        row = self.runs[name]
        part = (said.get("files") or {}).get(HISTORY)
        if part:
            row.lines.update(enumerate(part["content"], start=part["offset"]))
        if said.get("complete"):
            row.exits.append(said["exitcode"])
        return {"limits": {}}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that is killed leaves its connections open: no error of this server's."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


Served = TypeVar("Served", bound=WandbServer)


@contextmanager
def serving(known: Served) -> Iterator[Served]:
    """This server on a free port of this machine, while it lasts."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        """Passes every request on, one at a time."""

        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            """A question, a part of a stream."""
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            packed = self.headers.get("Content-Encoding") == "gzip"
            with lock:
                known.keys.add(self.headers.get("Authorization", ""))
                text = json.dumps(known.answer(self.path, gzip.decompress(body) if packed else body)).encode()
            self.send_response(503 if known.refusing else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_PUT = do_POST

        def log_message(self, format: str, *arguments: Any) -> None:
            """Says nothing."""

    with _Server(("127.0.0.1", 0), Handler) as server:
        known.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield known
        finally:
            server.shutdown()
