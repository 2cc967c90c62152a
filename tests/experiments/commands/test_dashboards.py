"""`prefix-rft dashboards` as a user meets it: files where tracking is offline, an HTTP server where it is online."""

from __future__ import annotations

import json
import re

import pytest
from typer.testing import CliRunner

from experiments.cli import app
from experiments.selection import select
from prefix_rft.runs.identity import train_identity
from prefix_rft.runs.metrics import MetricsWriter
from prefix_rft.runs.state import StateWriter
from prefix_rft.runs.tracking_labels import read_labels
from slurm.testing.wandb_server import serving
from slurm.testing.wandb_views import FullServer

ASKED = ("main_results", "seed=0", "method=sft,prefix_rft")


@pytest.fixture
def server(monkeypatch):
    with serving(FullServer()) as found:
        monkeypatch.setenv("WANDB_BASE_URL", found.url)
        monkeypatch.setenv("WANDB_API_KEY", "c" * 40)
        yield found


@pytest.fixture
def command(tmp_path, monkeypatch):
    """In an empty folder: exit code, and what was said, in one line."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["dashboards", *arguments])
        return done.exit_code, " ".join((done.stdout + done.stderr).split())

    return run


def _trained(*overrides: str) -> str:
    """A finished run of Prefix-RFT in the store; its id."""
    selection = select(ASKED[0], [*ASKED[1:], *overrides])
    run_id = next(cell.run_id for cell in selection.cells if cell.method == "prefix_rft")
    planned = next(config for config in selection.configs if config.method.name == "prefix_rft")
    run = selection.store.create(train_identity(planned), planned)
    assert run.id == run_id
    MetricsWriter(run.path).append(1, "train", {"reward": 0.5})
    StateWriter(run.path).done()
    return run_id


def test_offline_everything_is_written_and_nothing_sent(command, tmp_path, server):
    run_id = _trained()
    code, said = command(*ASKED, "pass_at_k", "--out", "shown")
    assert code == 0, said
    assert "1 runs labelled with their rows" in said
    assert (
        "3 specifications in shown: main_results.workspace.json, pass_at_k.workspace.json, report.json"
        in said
    )
    assert "nothing was sent: tracking is offline" in said
    assert "wandb sync runs/*/wandb" in said
    label = read_labels(tmp_path / "runs" / run_id)["main_results"]
    assert (label.row, label.tags) == ("Prefix-RFT", ("method=prefix_rft", "seed=0"))
    assert len(list(tmp_path.glob(f"runs/{run_id}/wandb/offline-run-*"))) == 1
    content = json.loads((tmp_path / "shown" / "main_results.workspace.json").read_text())
    assert (content["project"], content["displayName"]) == ("prefix-rft", "Main results")
    assert re.search(r"eval/test/[a-z0-9]+_[0-9a-f]{8}/avg_at_\d+", json.dumps(content))
    assert server.views == {}


def test_online_it_is_saved_and_replaced_the_next_time(command, tmp_path, server):
    run_id = _trained("tracking=online")
    for _ in range(2):
        code, said = command(*ASKED, "tracking=online")
        assert code == 0, said
        assert f"saved main_results: {server.url}/lab/prefix-rft?nw=" in said
        assert f"saved report: {server.url}/lab/prefix-rft/reports/" in said
    assert server.inserted == 2
    (workspace,), (report,) = server.of_type("project-view"), server.of_type("runs")
    assert (workspace["displayName"], report["displayName"]) == ("Main results", "Prefix-RFT: main_results")
    section = json.loads(workspace["spec"])["section"]
    assert section["runSets"][0]["grouping"] == [{"section": "config", "name": "row.value.main_results"}]
    said = server.runs[run_id].opened[-1]
    assert json.loads(said["config"])["row"]["value"] == {"main_results": "Prefix-RFT"}
    assert not (tmp_path / "dashboards").exists()


def test_a_server_that_refuses_costs_nothing_but_itself(command, tmp_path, server, monkeypatch):
    monkeypatch.setattr(server, "_query", lambda query, given: {})
    code, said = command(*ASKED, "tracking=online")
    assert code == 2
    assert "the dashboards cannot be saved to W&B" in said
    assert "Look at WANDB_API_KEY and WANDB_BASE_URL" in said
    assert (tmp_path / "dashboards" / "report.json").exists()


def test_runs_that_are_not_mirrored_have_no_dashboard(command, tmp_path):
    code, said = command(*ASKED, "tracking=disabled")
    assert code == 2
    assert "these runs are not mirrored to W&B" in said
    assert list(tmp_path.iterdir()) == []


def test_one_dashboard_is_of_one_project(command):
    code, said = command(*ASKED, "tracking.project=one,two")
    assert code == 2
    assert "differ in tracking.wandb, .project or .entity" in said
