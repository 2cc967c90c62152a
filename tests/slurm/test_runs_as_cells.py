"""Runs as cells of a scripted cluster: what is submitted, resumed, cancelled and shown, without training anything."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from experiments.cluster import launch
from experiments.cluster.launch import Asked, book, submit_cells
from experiments.cluster.requests import Requests
from experiments.commands import dry_run, slurm_jobs
from experiments.compose import compose_all
from experiments.overrides import for_hydra
from prefix_rft.errors import SettingsError
from prefix_rft.runs.state import StateWriter
from prefix_rft.runs.store import Store
from slurm.errors import CommandError, SubmissionError
from slurm.profile import Profile
from slurm.testing.fake import FakeSlurm, option

ASKED = Asked("sandbox")


@pytest.fixture
def slurm(monkeypatch):
    fake = FakeSlurm()
    monkeypatch.setattr(launch, "Slurm", lambda: fake)
    monkeypatch.setattr(slurm_jobs, "Slurm", lambda: fake)
    monkeypatch.setattr(launch, "code", lambda store: store.root / "snapshot")
    return fake


@pytest.fixture
def cells(tmp_path):
    return compose_all(
        [[f"method={method}", f"store={tmp_path}/runs"] for method in ("sft", "sft_rft", "rft")]
    )


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs")


def said(command, *arguments):
    console = Console(width=250, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    assert command(*arguments, console) == 0
    return console.export_text()


def end_all(slurm, store, word, but=()):
    """Every job ends so; what SLURM cancels with it too."""
    for ref in slurm.jobs:
        if ref not in but:
            slurm.becomes(ref, word, status=256)


def test_the_stages_of_a_sweep_are_chained(slurm, cells):
    submission = submit_cells(cells, ASKED)
    assert submission.text() == "4 runs: 4 submitted as 9 jobs in 7 arrays (11, 12, 13, 14, 15, 16, 17)"
    stages = [
        (option(text, "job-name"), option(text, "array"), option(text, "dependency"))
        for text in slurm.scripts
    ]
    assert stages == [
        ("prefix-rft-train", "0%1", None),
        ("prefix-rft-evaluate", "0%1", "aftercorr:11"),
        ("prefix-rft-train", "0-1%2", "afterok:11_0"),
        ("prefix-rft-evaluate", "0-1%2", "aftercorr:13"),
        ("prefix-rft-train", "0%1", "aftercorr:13"),
        ("prefix-rft-evaluate", "0%1", "aftercorr:15"),
        ("prefix-rft-aggregate", "0%1", "afterany:11:12:13:14:15:16"),
    ]


def test_asking_twice_submits_once(slurm, cells):
    submit_cells(cells, ASKED)
    assert submit_cells(cells, ASKED).text() == "4 runs: 0 submitted, 4 in the queue before"
    assert len(slurm.scripts) == 7


def test_resume_takes_what_failed_and_what_waited_for_it_once(slurm, cells, store):
    submit_cells(cells[2:], ASKED)
    end_all(slurm, store, "FAILED", but=["12_0", "14_0", "15_0"])
    for ref in ("12_0", "14_0"):
        slurm.becomes(ref, "CANCELLED", nodes="")
    slurm.becomes("15_0", "COMPLETED")
    assert "2 runs: 2 submitted as 5 jobs in 5 arrays" in said(slurm_jobs.resume, store, [], None)
    assert "none is failed or lost" in said(slurm_jobs.resume, store, [], None)


def test_resume_of_a_named_run_leaves_the_others(slurm, cells, store):
    submit_cells(cells, ASKED)
    end_all(slurm, store, "FAILED")
    base = next(run for run in store.runs() if run.kind == "base")
    assert "1 run: 1 submitted as 3 jobs" in said(slurm_jobs.resume, store, [base.id[:5]], None)


def test_cancel_names_the_live_jobs_of_the_run(slurm, cells, store, monkeypatch):
    submit_cells(cells, ASKED)
    called = []
    ask = FakeSlurm.ask
    monkeypatch.setattr(
        FakeSlurm,
        "ask",
        lambda self, *command, **how: (
            called.append(command) or "" if command[0] == "scancel" else ask(self, *command, **how)
        ),
    )
    base = next(run for run in store.runs() if run.kind == "base")
    slurm.becomes("12_0", "COMPLETED")
    assert "1 jobs cancelled" in said(slurm_jobs.cancel, store, [base.id], False)
    assert called == [("scancel", "11_0")]
    with pytest.raises(SettingsError, match="or give --all"):
        slurm_jobs.cancel(store, [], False, Console())


def test_status_says_what_slurm_says_and_why(slurm, cells, store):
    submit_cells(cells[2:], ASKED)
    base, rft = (next(run for run in store.runs() if run.kind == kind) for kind in ("base", "train"))
    StateWriter(rft.path).attempt()
    StateWriter(rft.path).failed(ValueError("too hot"), log="run.log")
    slurm.becomes("11_0", "RUNNING", nodes="n7")
    slurm.becomes("13_0", "FAILED", nodes="n8", status=256)
    slurm.becomes("14_0", "CANCELLED", nodes="")
    shown = said(slurm_jobs.status, store)
    assert re.search(rf"{base.id} .*running .* train 11_0 RUNNING .*n7", shown), shown
    assert re.search(rf"{rft.id} .*failed .* train 13_0 FAILED", shown), shown
    assert f"{rft.id}: ValueError: too hot (log: {rft.path}/run.log)" in shown


def test_a_silent_controller_is_said_and_nothing_is_lost(slurm, cells, store):
    submit_cells(cells[2:], ASKED)
    slurm.silent.append(True)
    shown = said(slurm_jobs.status, store)
    assert "2 queued" in shown
    assert "what is in the queue is not known: squeue refused: Unable to contact" in shown


def test_what_is_asked_of_a_run_grows_and_holds_no_environment(slurm, cells, store, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "very-secret")
    submit_cells(cells[2:], ASKED)
    slurm.jobs.clear()
    more = compose_all([["method=rft", f"store={store.root}", "evaluation.seed=7"]])
    submit_cells(more, ASKED)
    rft = next(run for run in store.runs() if run.kind == "train")
    assert [config.evaluation.seed for config in Requests(store).read(rft.id).asked] == [0, 7]
    written = [path.read_bytes() for path in store.root.rglob("*") if path.is_file()]
    assert not any(b"very-secret" in content for content in written)


def test_an_evaluation_that_is_asked_for_while_the_run_waits_is_not_lost(slurm, cells, store):
    """Its job has not begun and will read what is asked when it does."""
    submit_cells(cells[2:], ASKED)
    more = compose_all([["method=rft", f"store={store.root}", "evaluation.seed=7", "tracking.tags=[later]"]])
    assert submit_cells(more, ASKED).text() == "2 runs: 0 submitted, 2 in the queue before"
    rft = next(run for run in store.runs() if run.kind == "train")
    assert (rft.config().tracking.tags, Requests(store).read(rft.id).config.tracking.tags) == ((), ())
    assert [config.evaluation.seed for config in Requests(store).read(rft.id).asked] == [0, 7]


def test_what_found_no_room_is_counted_and_resume_submits_it(slurm, cells, store, monkeypatch):
    full = property(lambda asked: Profile(max_submitted=5))
    with monkeypatch.context() as patch:
        patch.setattr(launch.Asked, "profile", full)
        assert "2 found no room in the queue: `prefix-rft resume`" in submit_cells(cells, ASKED).text()
    shown = said(slurm_jobs.status, store)
    assert "2 runs are not submitted yet: `prefix-rft resume` submits them as far as" in shown
    assert len(re.findall(r"new .* not submitted", shown)) == 2, shown
    assert "2 submitted as 5 jobs" in said(slurm_jobs.resume, store, [], None)
    assert "not submitted" not in said(slurm_jobs.status, store)


def test_what_slurm_refused_half_way_is_found_by_resume(slurm, cells, store):
    """The trainings are taken, the evaluations of one array are not: nothing of it is failed, and yet it is missing."""
    slurm.refusals[:] = [None, CommandError("sbatch refused: Job violates accounting/QOS policy")]
    with pytest.raises(SubmissionError, match="1 jobs before it are submitted"):
        submit_cells(cells[2:], ASKED)
    assert "2 runs are not submitted yet" in said(slurm_jobs.status, store)
    assert "2 submitted as 4 jobs in 4 arrays" in said(slurm_jobs.resume, store, [], None)
    assert "none is failed or lost" in said(slurm_jobs.resume, store, [], None)


def test_a_base_model_is_made_on_one_node_whatever_the_trainings_take(slurm, tmp_path):
    profile = tmp_path / "two.yaml"
    profile.write_text("stages: {train: {nodes: 2}}")
    verl = ["backend=verl_4x8", "backend.nodes=2", "optimisation.rl.gradient_norms_every=0"]
    submit_cells(compose_all([["method=rft", *verl, f"store={tmp_path}/runs"]]), Asked(str(profile)))
    assert [(option(text, "job-name"), option(text, "nodes")) for text in slurm.scripts] == [
        ("prefix-rft-train", "1"),
        ("prefix-rft-evaluate", "1"),
        ("prefix-rft-train", "2"),
        ("prefix-rft-evaluate", "1"),
        ("prefix-rft-aggregate", "1"),
    ]


def test_odd_settings_and_paths_reach_the_job_as_they_are(slurm, tmp_path):
    odd = 'it\'s $HOME `id` "x"\ny'
    config = compose_all([["method=rft", f"store={tmp_path}/runs"]])[0]
    tracking = config.tracking.model_copy(update={"tags": (odd,)})
    store = tmp_path / odd / "runs"
    (submission,) = [
        submit_cells([config.model_copy(update={"tracking": tracking, "store": str(store)})], ASKED)
    ]
    (run,) = [run for run in Store(store).runs() if run.kind == "train"]
    places = book(Store(store)).places()
    place = places[run.id, "train"]
    tasks = json.loads((book(Store(store)).array(place.entry.token) / "tasks.json").read_text())
    request = tasks["tasks"][str(place.index)]["command"][2]
    assert json.loads(Path(request).read_text())["config"]["tracking"]["tags"] == [odd]
    assert submission.outcome.keys


def test_the_dry_run_prints_the_scripts_and_leaves_no_store(slurm, tmp_path):
    store = f"store={tmp_path}/none"
    shown = said(dry_run.dry_run, ["main_results"], ["method=rft", "seed=0,1", store], "sandbox")
    assert shown.count("#!/bin/bash") == 4
    assert "4 arrays, 6 jobs" in shown
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["cluster=a", "seed=1"], ["hydra.launcher.cluster=a", "++seed=1"]),
        (["wait=true"], ["hydra.launcher.wait=true"]),
        (["launcher=slurm"], ["hydra/launcher=slurm"]),
        (["launcher=local", "launcher.workers=2"], ["launcher=local", "++launcher.workers=2"]),
    ],
)
def test_short_names_are_the_launchers(given, expected):
    assert for_hydra(given) == expected


def test_a_cluster_needs_its_launcher_and_the_other_way_round():
    assert dry_run.of_slurm(["hydra/launcher=slurm", "cluster=sandbox", "seed=0"]) == ("sandbox", ["seed=0"])
    assert dry_run.of_slurm(["launcher=slurm", "cluster=sandbox"]) == ("sandbox", [])
    assert dry_run.of_slurm(["seed=0"]) == (None, ["seed=0"])
    with pytest.raises(SettingsError, match="belongs to hydra/launcher=slurm: add it"):
        dry_run.of_slurm(["cluster=sandbox"])
    with pytest.raises(SettingsError, match=r"needs cluster=<name>\. Known: example, sandbox"):
        dry_run.of_slurm(["launcher=slurm"])


def test_the_local_launcher_does_not_ignore_a_cluster():
    with pytest.raises(SettingsError, match=r"cluster=\.\.\. belongs to hydra/launcher=slurm: add it"):
        compose_all([["cluster=sandbox"]])


def test_nodes_that_nobody_uses_are_refused(slurm, cells, tmp_path):
    profile = tmp_path / "two.yaml"
    profile.write_text("resources: {nodes: 2}")
    with pytest.raises(SettingsError, match="an evaluation uses one node"):
        submit_cells(cells, Asked(str(profile)))
    profile.write_text("stages: {train: {nodes: 2}}")
    with pytest.raises(SettingsError, match=r"backend.nodes=1 .* has 2 in the profile: make them equal"):
        submit_cells(cells, Asked(str(profile)))
    assert slurm.scripts == []
