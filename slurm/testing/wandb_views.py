"""The W&B server of `wandb_server`, which also keeps uploads, artifacts, workspaces and reports."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from slurm.testing.wandb_server import WandbServer

ENTITY = "lab"
SUMMARY = "wandb-summary.json"
_VIEWER = {
    "id": "u",
    "username": "me",
    "name": "me",
    "email": "me@example.org",
    "admin": False,
    "entity": ENTITY,
    "flags": "{}",
    "teams": {"edges": [{"node": {"name": ENTITY}}]},
    "deletedAt": None,
    "apiKeys": {"edges": []},
}
_TIME = "2026-01-01T00:00:00"
_PAGE = {"hasNextPage": False, "endCursor": None}


@dataclass
class FullServer(WandbServer):
    """Also remembers everything that `wandb` and `wandb-workspaces` send besides curves."""

    uploads: dict[str, bytes] = field(default_factory=dict)
    """Files by `<run>/<name>`, those of artifacts by `<artifact>/<name>`."""
    artifacts: list[dict[str, Any]] = field(default_factory=list)
    """What was said of each artifact when it was made."""
    views: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Workspaces and reports by id."""
    projects: list[str] = field(default_factory=list)
    inserted: int = 0
    """Views that were new."""
    unknown: list[str] = field(default_factory=list)
    """Beginnings of the questions that it has no answer for."""

    def answer(self, path: str, body: bytes) -> dict[str, Any]:
        """The response to one request."""
        if path.startswith("/upload/"):
            self.uploads[path.removeprefix("/upload/")] = body
            return {}
        return super().answer(path, body)

    def summary(self, run: str) -> dict[str, Any]:
        """A run's summary as it was uploaded last."""
        found: dict[str, Any] = json.loads(self.uploads[f"{run}/{SUMMARY}"])
        return found

    def table(self, run: str, key: str) -> dict[str, Any]:
        """A table of a run's summary: its columns and its data."""
        path = self.summary(run)[key]["path"]
        found: dict[str, Any] = json.loads(self.uploads[f"{run}/{path}"])
        return found

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        """Views of a type: project-view is a workspace, runs a report."""
        return [view for view in self.views.values() if view["type"] == kind]

    def _query(self, query: str, given: Mapping[str, Any]) -> dict[str, Any]:
        for name, answer in _ANSWERS.items():
            if name in query:
                return answer(self, given)
        found = super()._query(query, given)
        if not found:
            self.unknown.append(" ".join(query.split())[:200])
        return found

    def _resume(self, name: str) -> dict[str, Any]:
        """As the real server does, it tells a run that goes on what its summary was."""
        found = super()._resume(name)
        if found["bucket"] is not None and f"{name}/{SUMMARY}" in self.uploads:
            found["bucket"]["summaryMetrics"] = self.uploads[f"{name}/{SUMMARY}"].decode()
        return found

    def _viewer(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return {"viewer": _VIEWER}

    def _run_files(self, given: Mapping[str, Any]) -> dict[str, Any]:
        run = given["run"]
        files = [{"name": name, "uploadUrl": self._address(run, name)} for name in given["files"]]
        return {"createRunFiles": {"runID": run, "uploadHeaders": [], "files": files}}

    def _artifact(self, given: Mapping[str, Any]) -> dict[str, Any]:
        self.artifacts.append(dict(given["input"]))
        sequence = {"id": "s", "latestArtifact": None}
        made = {"id": f"a{len(self.artifacts)}", "state": "PENDING", "artifactSequence": sequence}
        return {"createArtifact": {"artifact": made}}

    def _manifest(self, given: Mapping[str, Any]) -> dict[str, Any]:
        address = self._address(given["artifactID"], given["name"])
        file = {"id": "f", "name": given["name"], "displayName": given["name"], "uploadUrl": address}
        made = {"id": given["artifactID"], "file": {**file, "uploadHeaders": []}}
        return {"createArtifactManifest": {"artifactManifest": made}}

    def _artifact_files(self, given: Mapping[str, Any]) -> dict[str, Any]:
        nodes = [
            self._artifact_file(one["artifactID"], one["name"]) for one in given["input"]["artifactFiles"]
        ]
        return {"createArtifactFiles": {"files": {"edges": [{"node": node} for node in nodes]}}}

    def _artifact_file(self, artifact: str, name: str) -> dict[str, Any]:
        upload: dict[str, Any] = {
            "uploadUrl": self._address(artifact, name),
            "uploadHeaders": [],
            "uploadMultipartUrls": None,
        }
        names = {"id": name, "name": name, "displayName": name, "storagePath": name}
        return {**names, **upload, "artifact": {"id": artifact}}

    def _committed(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return {"commitArtifact": {"artifact": {"id": given["artifactID"], "digest": "d"}}}

    def _upsert_view(self, given: Mapping[str, Any]) -> dict[str, Any]:
        new = not given.get("id")
        self.inserted += new
        name = given.get("id") or f"v{len(self.views) + 1}"
        self.views[name] = dict(given) | {"id": name}
        if given["projectName"] not in self.projects:
            self.projects.append(given["projectName"])
        return {"upsertView": {"view": self._view(name), "inserted": new}}

    def _view(self, name: str) -> dict[str, Any]:
        view = self.views[name]
        project = {"id": "p", "name": view["projectName"], "entityName": ENTITY}
        kept = {key: view.get(key) for key in ("id", "name", "type", "displayName", "description", "spec")}
        times = {"createdAt": _TIME, "updatedAt": _TIME}
        return {**kept, **times, "project": project, "user": _VIEWER, "previewUrl": None, "viewCount": 0}

    def _views(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """By W&B's name for a workspace, by the title for a report."""
        wanted, kind = given.get("viewName"), given.get("viewType", "runs")
        key = "name" if kind == "project-view" else "displayName"
        found = [view["id"] for view in self.of_type(kind) if wanted in (None, view[key])]
        edges = [{"node": self._view(name), "cursor": name} for name in found]
        return {"project": {"allViews": {"edges": edges, "pageInfo": _PAGE}}}

    def _projects(self, given: Mapping[str, Any]) -> dict[str, Any]:
        edges = [{"node": self._project(name), "cursor": name} for name in self.projects]
        return {"models": {"edges": edges, "pageInfo": _PAGE}}

    def _new_project(self, given: Mapping[str, Any]) -> dict[str, Any]:
        name = given["input"]["name"]
        self.projects.append(name)
        return {"result": {"model": self._project(name), "project": self._project(name), "inserted": True}}

    def _project(self, name: str) -> dict[str, Any]:
        return {
            "id": "p",
            "internalId": "p",
            "name": name,
            "entityName": ENTITY,
            "entity": {"id": "e", "name": ENTITY},
            "createdAt": _TIME,
            "isBenchmark": False,
            "user": None,
        }

    def _nothing(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return {"project": None}

    def _address(self, *parts: str) -> str:
        return "/".join([self.url, "upload", *parts])


_ANSWERS = {
    "viewer {": FullServer._viewer,
    "createRunFiles": FullServer._run_files,
    "query ArtifactType": FullServer._nothing,
    "createArtifact(": FullServer._artifact,
    "createArtifactManifest(": FullServer._manifest,
    "createArtifactFiles(": FullServer._artifact_files,
    "commitArtifact(": FullServer._committed,
    "upsertView(": FullServer._upsert_view,
    "allViews": FullServer._views,
    "models(": FullServer._projects,
    "upsertModel(": FullServer._new_project,
}
"""By what a question contains."""
