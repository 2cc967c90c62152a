"""The mirror over HTTP: the real client against a server on this machine that keeps what it is sent."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from prefix_rft.runs.metrics import MetricsWriter
from prefix_rft.runs.state import StateWriter
from prefix_rft.runs.store import RunDir
from prefix_rft.runs.tracking import start_mirror
from prefix_rft.runs.tracking_labels import add_label
from prefix_rft.settings.tracking import TrackingSettings
from slurm.testing.wandb_server import serving
from slurm.testing.wandb_views import FullServer

KEY = "c0ffee" * 6 + "c0ff"
SCORE = "eval/test/avg2_00c0ffee/avg_at_2"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FullServer]:
    """With its address and a key in the environment."""
    with serving(FullServer()) as found:
        monkeypatch.setenv("WANDB_BASE_URL", found.url)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        yield found


def _mode(run: RunDir, mode: str) -> None:
    path = run.path / "config.yaml"
    values = yaml.safe_load(path.read_text())
    values["tracking"]["wandb"] = mode
    path.write_text(yaml.safe_dump(values))


def _mirror(run: RunDir) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "prefix_rft.runs.mirror", str(run.path)]
    return subprocess.run(command, capture_output=True, text=True)


def _sync(run: RunDir) -> str:
    """The documented command, in the folder above the store."""
    wandb = Path(sys.executable).with_name("wandb")
    command = ["bash", "-c", f"{wandb} sync runs/*/wandb"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=run.path.parents[1])
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def _steps(server: FullServer, run: str) -> list[int]:
    return [row["_step"] for row in server.runs[run].history]


def _value(config: str, *path: str) -> Any:
    found = json.loads(config)[path[0]]["value"]
    for key in path[1:]:
        found = found[key]
    return found


def _has_everything(server: FullServer, run: RunDir) -> None:
    trained, measured = server.runs[run.id], server.runs[f"{run.id}-evaluate"]
    assert [row["train/reward"] for row in trained.history if "train/reward" in row] == [0.25, 0.75, 0.5]
    assert [row["rollout_step"] for row in trained.history] == _steps(server, run.id)
    assert measured.history == []
    said = trained.opened[-1]
    assert (said["groupName"], said["jobType"]) == ("main_results", "train")
    assert sorted(said["tags"]) == ["main_results", "mine", "prefix_rft", "seed=3", "toy"]
    assert _value(said["config"], "row") == {"main_results": "Prefix-RFT"}
    assert _value(said["config"], "method", "name") == "prefix_rft"
    assert measured.opened[-1]["jobType"] == "evaluate"
    summary = server.summary(run.id)
    assert summary["train/reward"] == {"last": 0.5, "max": 0.75}
    assert summary["train/truncated"] == {"last": 0.5, "min": 0.25}
    assert summary["train/entropy"] == 3.0  # the best and the last of all rows, not of the last part's
    assert server.summary(f"{run.id}-evaluate")[f"{SCORE}/low"] == 0.5
    assert server.table(run.id, "samples")["data"][0][4:6] == ["ab", "c"]
    scores = server.table(f"{run.id}-evaluate", "eval/scores")
    assert scores["data"][0][:5] == ["test", "avg@2", 0.75, 0.5, 1.0]
    assert server.table(f"{run.id}-evaluate", "eval/responses")["data"][1][4:6] == ["", False]
    assert {made["artifactTypeName"] for made in server.artifacts} == {"run_table"}
    assert server.unknown == [] or all("ServerFeatures" in asked for asked in server.unknown)


def test_an_online_run_arrives_whole(finished: RunDir, server: FullServer) -> None:
    _mode(finished, "online")
    add_label(finished.path, "main_results", ["seed=3"], "Prefix-RFT")
    done = _mirror(finished)
    assert done.stdout == f"{finished.id}: 4 rows mirrored, 1 evaluations\n"
    assert _steps(server, finished.id) == [1, 2, 3]
    _has_everything(server, finished)
    assert _mirror(finished).stdout == f"{finished.id}: 0 rows mirrored\n"
    assert len(server.runs[finished.id].opened) == 1


def test_offline_parts_reach_the_server_by_one_command(finished: RunDir, server: FullServer) -> None:
    """A run that was resumed has two parts, and labels that came later a third."""
    rows = (finished.path / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (finished.path / "metrics.jsonl").write_bytes(b"".join(rows[:2]))
    assert _mirror(finished).returncode == 0
    (finished.path / "metrics.jsonl").write_bytes(b"".join(rows))
    assert _mirror(finished).returncode == 0
    add_label(finished.path, "main_results", ["seed=3"], "Prefix-RFT")
    assert _mirror(finished).returncode == 0
    assert server.runs == {}
    _sync(finished)
    assert _steps(server, finished.id) == [1, 2, 3]
    _has_everything(server, finished)
    assert server.runs[finished.id].resumed == [False, True, True]
    assert "No runs to sync" in _sync(finished)
    assert len(server.runs[finished.id].opened) == 3


def test_no_secret_lands_in_a_file(finished: RunDir, server: FullServer) -> None:
    assert _mirror(finished).returncode == 0
    _mode(finished, "online")
    (finished.path / "wandb" / "position.json").unlink()
    assert _mirror(finished).returncode == 0
    files = [path for path in finished.path.parent.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
    assert not any(KEY.encode() in body for body in server.uploads.values())


def test_a_server_without_tables_has_the_curve_and_the_scores(
    finished: RunDir, server: FullServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not know who asks, which W&B looks at before it sends a table."""
    monkeypatch.setattr(server, "_query", lambda query, given: _no_viewer(server, query, given))
    _mode(finished, "online")
    done = _mirror(finished)
    assert (done.returncode, _steps(server, finished.id)) == (1, [1, 2, 3])
    assert server.summary(finished.id)["train/reward"] == {"last": 0.5, "max": 0.75}
    assert server.summary(f"{finished.id}-evaluate")[SCORE] == 0.75
    event = finished.events()[-1]
    assert event["event"] == "mirror incomplete"
    assert "Authentication" in event["reason"]
    assert json.loads((finished.path / "wandb" / "position.json").read_text())["shown"] == {}


def _no_viewer(server: FullServer, query: str, given: Any) -> dict[str, Any]:
    return {} if "viewer {" in query else FullServer._query(server, query, given)


def test_a_dead_server_harms_no_run(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    StateWriter(run.path).attempt()
    mirror = start_mirror(run.path, TrackingSettings(wandb="online"))
    assert mirror is not None
    for step in (1, 2):  # the last step waits for its validation
        MetricsWriter(run.path).append(step, "train", {"reward": 0.5})
    assert not mirror.finish(timeout=3)
    assert run.events()[-1]["event"] == "mirror incomplete"
    assert [row["reward"] for row in run.metrics()] == [0.5, 0.5]


def test_text_stays_at_home_where_no_rows_of_it_are_asked_for(finished: RunDir, server: FullServer) -> None:
    _mode(finished, "online")
    path = finished.path / "config.yaml"
    path.write_text(path.read_text().replace("sample_rows: 64", "sample_rows: 0"))
    assert _mirror(finished).returncode == 0
    assert "samples" not in server.summary(finished.id)
    assert set(_tables(server.summary(f"{finished.id}-evaluate"))) == {"eval/scores"}


def _tables(summary: dict[str, Any]) -> Sequence[str]:
    return [key for key, value in summary.items() if isinstance(value, dict) and "_type" in value]
