"""A real SLURM, several virtual nodes on this machine: what is promised of sweeps holds there."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest

from slurm.arrays import Job
from slurm.book import Book
from slurm.commands import Slurm, own_environment
from slurm.errors import CommandError
from slurm.profile import Profile, Resources
from slurm.snapshot import CODE, snapshot
from slurm.submit import Terms, submit

pytestmark = pytest.mark.slurm
STAGES = ("train", "evaluate")


def test_two_of_six_cells_fail_and_the_others_do_not_notice(cells):
    for number in range(4):
        cells.add(f"good{number}")
    cells.add("raises", train={"raise": "boom"})
    cells.add("killed", train={"sigkill": True})
    first = cells.submit()
    assert (len(first.keys), [entry.stage for entry in first.submitted]) == (12, ["train", "evaluate"])
    words = cells.settle()
    assert {words.pop(f"good{number}") for number in range(4)} == {("done", "done")}
    assert words == {"raises": ("failed", "cancelled"), "killed": ("lost", "cancelled")}
    found = cells.standings()
    assert found["raises", "train"].cause == "exit 1"
    assert found["killed", "train"].cause.startswith("killed by SIGKILL on n")
    assert found["raises", "evaluate"].cause == "not started: train of raises is failed"
    assert (cells.begun("raises", "evaluate"), cells.begun("killed", "evaluate")) == ([], [])
    assert "ValueError: boom" in cells.book.log(cells.book.places()["raises", "train"]).read_text()

    cells.behave("raises")
    cells.behave("killed")
    assert {cell for cell, _ in cells.submit().keys} == {"raises", "killed"}
    assert set(cells.settle().values()) == {("done", "done")}
    assert cells.submit().keys == set()
    assert [len(cells.begun(f"good{number}")) for number in range(4)] == [1, 1, 1, 1]


def test_a_preempted_job_goes_on_where_it_was(cells, sandbox):
    """The other partition wants every node; when it has let go, the job continues from its checkpoint."""
    cells.add("long", train={"steps": 100, "seconds": 0.05, "note": "fast"})
    cells.submit()
    cells.wait(lambda: saved(cells, "long") > 5)
    everything = str(sandbox.cpus * sandbox.nodes)
    cells.slurm.ask("sbatch", "-p", "high", "-n", everything, "--wrap", "sleep 3", folder=cells.folder)
    cells.wait(lambda: cells.standings()["long", "train"].word == "pending")
    step = saved(cells, "long")
    assert 5 < step < 100
    start_now(cells, "long")
    cells.wait(lambda: len(cells.begun("long")) == 2)
    assert saved(cells, "long") >= step
    assert cells.settle() == {"long": ("done", "done")}
    assert cells.standings()["long", "train"].word == "done"


def test_a_job_that_runs_out_of_time_goes_back_into_the_queue(cells):
    """The warning comes before the limit of one minute; the second attempt goes on from the checkpoint."""
    cells.profile = Profile(resources=Resources(minutes=1), warn_seconds=55)
    cells.add("slow", train={"steps": 400, "seconds": 0.1})
    cells.submit()
    cells.wait(lambda: cells.standings()["slow", "train"].word == "pending" and saved(cells, "slow") > 0, 90)
    step = saved(cells, "slow")
    assert 0 < step < 400
    cells.behave("slow", train={"steps": step + 5})
    start_now(cells, "slow")
    assert cells.settle() == {"slow": ("done", "done")}
    assert len(cells.begun("slow")) == 2
    assert (cells.folder / "slow" / "train.done").read_text() == str(step + 5)


def saved(cells, name):
    path = cells.folder / name / "train.step"
    text = path.read_text() if path.exists() else ""
    return int(text or 0)


def is_alive(cells, name):
    """Whether the process still runs: killed without a warning, it leaves its file."""
    try:
        pid = (cells.folder / name / "train.alive").read_text()
    except FileNotFoundError:
        return False
    return Path("/proc", pid).exists()


def start_now(cells, name):
    """SLURM lets a requeued job wait for two minutes; the test for three seconds (the node has to forget the job)."""
    ref = cells.book.places()[name, "train"].ref
    cells.wait(lambda: "PENDING" in cells.slurm.ask("squeue", "-h", "-O", "State", "-j", ref))
    cells.slurm.ask("scontrol", "update", f"JobId={ref}", "StartTime=now+3")


def test_a_restarted_controller_loses_nothing(cells, sandbox):
    for number in range(6):
        cells.add(f"cell{number}", train={"steps": 20, "seconds": 0.1})
    cells.submit()
    cells.wait(lambda: bool(cells.begun("cell0")))
    sandbox.end("slurmctld")
    assert {word for words in cells.words().values() for word in words} == {"unknown"}
    with pytest.raises(CommandError, match="controller"):
        cells.submit()
    sandbox.start_controller()
    cells.wait(lambda: cells.standings()["cell0", "train"].word != "unknown")
    assert cells.submit().keys == set()
    assert set(cells.settle().values()) == {("done", "done")}
    assert {len(cells.begun(f"cell{number}", stage)) for number in range(6) for stage in STAGES} == {1}


def test_a_node_that_dies_gives_its_job_back(cells, sandbox):
    cells.add("cell", train={"steps": 60, "seconds": 0.1})
    cells.submit()
    cells.wait(lambda: saved(cells, "cell") > 3)
    node = cells.standings()["cell", "train"].nodes
    cells.slurm.ask("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")
    cells.wait(lambda: cells.standings()["cell", "train"].word == "pending")
    cells.slurm.try_to_ask(
        "scontrol", "update", f"NodeName={node}", "State=RESUME"
    )  # or it came back by itself
    cells.wait(lambda: not is_alive(cells, "cell"))
    start_now(cells, "cell")
    assert cells.settle() == {"cell": ("done", "done")}
    assert len(cells.begun("cell")) == 2


def test_a_killed_submission_is_found_again_by_the_next_one(cells):
    """The first is killed by -9 between SLURM's answer and the book; the second finds the array by its token."""
    for number in range(3):
        cells.add(f"cell{number}")
    pid = os.fork()
    if pid == 0:
        Book.submitted = lambda *asked: os.kill(os.getpid(), signal.SIGKILL)
        cells.submit()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert [entry.open for entry in cells.book.entries()] == [True]
    second = cells.submit()
    assert [(entry.stage, len(entry.cells)) for entry in second.submitted] == [("evaluate", 3)]
    assert set(cells.settle().values()) == {("done", "done")}
    assert {len(cells.begun(f"cell{number}")) for number in range(3)} == {1}


def test_two_who_submit_at_once_submit_each_cell_once(cells):
    for number in range(8):
        cells.add(f"cell{number}")
    pids = []
    for _ in range(2):
        pids.append(os.fork())
        if pids[-1] == 0:
            os._exit(len(cells.submit().keys))
    assert sorted(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids) == [0, 16]
    assert set(cells.settle().values()) == {("done", "done")}
    assert {len(cells.begun(f"cell{number}")) for number in range(8)} == {1}


def test_a_full_queue_takes_whole_cells_and_the_rest_later(cells):
    cells.profile = Profile(resources=Resources(minutes=5), max_submitted=6, max_array_size=2)
    for number in range(5):
        cells.add(f"cell{number}")
    first = cells.submit()
    assert ({cell for cell, _ in first.keys}, len(first.left)) == ({"cell0", "cell1", "cell2"}, 4)
    assert [sorted(entry.cells.values()) for entry in first.submitted if entry.stage == "train"] == [
        ["cell0", "cell1"],
        ["cell2"],
    ]
    cells.wait(lambda: all(standing.over for standing in cells.standings().values()))
    assert {cell for cell, _ in cells.submit().keys} == {"cell3", "cell4"}
    assert set(cells.settle().values()) == {("done", "done")}


def test_a_controller_that_is_full_takes_whole_cells_and_the_rest_later(cells, new_sandbox):
    """MaxJobCount counts every job that slurmctld remembers, also those that are over."""
    small = new_sandbox(nodes=1, cpus=4, settings={"MaxJobCount": "9", "MinJobAge": "2"})
    cells.slurm = Slurm({**own_environment(os.environ), **small.environment})
    for number in range(6):
        cells.add(f"cell{number}")
    first = cells.submit()
    assert (len(first.keys), len(first.left)) == (8, 4)
    cells.wait(lambda: all(standing.over for standing in cells.standings().values()))
    cells.wait(lambda: cells.slurm.ask("squeue", "-h", "-t", "all").strip() == "")
    assert len(cells.submit().keys) == 4
    assert set(cells.settle().values()) == {("done", "done")}
    assert {len(cells.begun(f"cell{number}")) for number in range(6)} == {1}


def test_many_cells_wait_for_one_and_one_waits_for_another(cells):
    """A base model, three trainings on it, and one that starts from one of these, while the base is live."""
    names = [cells.add(name) for name in ("base", "one", "two", "three", "late")]
    parents = {"one": "base", "two": "base", "three": "base", "late": "two"}
    cells.behave("base", train={"steps": 20, "seconds": 0.1})
    jobs = [
        dataclasses.replace(job, after=(parents[job.cell], "train"))
        if job.cell in parents and job.stage == "train"
        else job
        for job in cells.jobs(names)
    ]
    base = [job for job in jobs if job.cell == "base"]
    assert len(cells.submit(jobs=base).keys) == 2
    assert len(cells.submit(jobs=jobs).keys) == 8
    assert cells.begun("one") == []
    assert set(cells.settle().values()) == {("done", "done")}
    order = [(cells.folder / name / "train.done").stat().st_mtime for name in ("base", "two", "late")]
    assert order == sorted(order)


def test_what_is_edited_while_a_job_waits_changes_nothing(cells, tmp_path):
    """The second stage imports a module that was changed, and one that was added, after it was submitted."""
    shutil.copytree(CODE / "slurm", tmp_path / "code" / "slurm")
    (tmp_path / "code" / "slurm" / "payload.py").write_text("SAID = 'as submitted'")
    cells.add("cell", train={"steps": 10, "seconds": 0.1})
    reads = f"import slurm.payload as p; open({str(tmp_path / 'said')!r}, 'w').write(p.SAID)"
    waits = Job("cell", "evaluate", ("-c", reads), after=("cell", "train"))
    submit(
        cells.slurm,
        cells.book,
        [cells.jobs()[0], waits],
        Terms(cells.profile, sys.executable, folder=str(tmp_path / "code")),
        is_done=cells.is_done,
        snapshot=lambda: snapshot(tmp_path / "kept", {}, code=tmp_path / "code"),
    )
    (tmp_path / "code" / "slurm" / "payload.py").write_text("SAID = 'edited'")
    cells.wait(lambda: (tmp_path / "said").exists())
    assert (tmp_path / "said").read_text() == "as submitted"


def test_a_hundred_cells_are_submitted_in_seconds(cells):
    for number in range(100):
        cells.add(f"cell{number}")
    began = time.monotonic()
    assert len(cells.submit().keys) == 200
    assert time.monotonic() - began < 20


def test_names_with_everything_a_shell_knows_arrive_intact(sandbox, tmp_path, cells):
    odd = type(cells)(tmp_path / 'it\'s $HOME `id` "two\nlines" *', cells.slurm)
    odd.add("cell", train={"note": "n"})
    odd.submit()
    assert odd.settle() == {"cell": ("done", "done")}
