"""A real SLURM that keeps accounts: what sacct tells once squeue has forgotten the jobs, and sacctmgr's limits."""

from __future__ import annotations

import getpass
import os
import shutil
import signal

import pytest

from slurm.book import Book
from slurm.commands import Slurm, own_environment
from slurm.limits import room

pytestmark = [pytest.mark.slurm, pytest.mark.slow]


@pytest.fixture(scope="module")
def cluster(new_sandbox):
    """Forgets a job seconds after it ended."""
    return new_sandbox(nodes=1, cpus=4, accounts=True, settings={"MinJobAge": "2"})


@pytest.fixture
def accounted(cells, cluster):
    cells.slurm = Slurm({**own_environment(os.environ), **cluster.environment})
    return cells


def forgotten(cells):
    """Wait until squeue knows nothing any more, and sacct how everything ended."""
    cells.wait(lambda: cells.slurm.ask("squeue", "-h", "-t", "all").strip() == "", 180)
    assert all(standing.over for standing in cells.standings().values())


def test_status_tells_the_truth_when_squeue_has_forgotten(accounted):
    for name in ("good", "raises", "killed", "stopped"):
        accounted.add(name)
    accounted.behave("raises", train={"raise": "boom"})
    accounted.behave("killed", train={"sigkill": True})
    accounted.behave("stopped", train={"steps": 1000, "seconds": 0.1})
    accounted.submit()
    accounted.wait(lambda: bool(accounted.begun("stopped")))
    place = accounted.book.places()["stopped", "train"]
    accounted.slurm.ask("scancel", place.ref)
    before = accounted.settle()
    assert before == {
        "good": ("done", "done"),
        "raises": ("failed", "cancelled"),
        "killed": ("lost", "cancelled"),
        "stopped": ("cancelled", "cancelled"),
    }
    causes = {key: standing.cause for key, standing in accounted.standings().items()}
    forgotten(accounted)
    assert accounted.words() == before
    assert {key: standing.cause for key, standing in accounted.standings().items()} == causes
    assert accounted.standings()["raises", "train"].slurm == "FAILED"

    for entry in accounted.book.entries():  # and without what the jobs wrote down: by sacct alone
        shutil.rmtree(accounted.book.array(entry.token) / "ends")
    found = accounted.standings()
    assert found["raises", "train"].cause == "SLURM says FAILED exit 1"
    assert found["killed", "train"].cause == "SLURM says FAILED exit 9"  # sacct takes 128 from 137
    assert found["stopped", "train"].word == "cancelled"
    assert (found["good", "train"].word, found["raises", "train"].nodes) == ("done", "n1")


def test_a_killed_submission_is_found_in_the_accounts(accounted):
    """Its jobs were over and forgotten by squeue before anybody looked, and left no word of their own."""
    accounted.add("cell")
    pid = os.fork()
    if pid == 0:
        Book.submitted = lambda *asked: os.kill(os.getpid(), signal.SIGKILL)
        accounted.submit()
    os.waitpid(pid, 0)
    accounted.wait(lambda: accounted.is_done(("cell", "train")))
    forgotten(accounted)
    (entry,) = accounted.book.entries()
    shutil.rmtree(accounted.book.array(entry.token) / "ends")
    assert {stage for _, stage in accounted.submit().keys} == {"evaluate"}
    assert accounted.book.entries()[0].job is not None
    assert accounted.settle() == {"cell": ("done", "done")}
    assert len(accounted.begun("cell")) == 1


def test_the_accounts_limit_of_jobs_is_asked_for(accounted):
    user = getpass.getuser()
    accounted.slurm.ask("sacctmgr", "-i", "add", "account", "lab", "cluster=sandbox")
    accounted.slurm.ask("sacctmgr", "-i", "add", "user", user, "account=lab", "MaxSubmitJobs=5")
    try:
        assert room(accounted.slurm, accounted.profile) == 5
        for number in range(3):
            accounted.add(f"cell{number}")
        outcome = accounted.submit()
        assert ({cell for cell, _ in outcome.keys}, {cell for cell, _ in outcome.left}) == (
            {"cell0", "cell1"},
            {"cell2"},
        )
        accounted.wait(lambda: all(standing.over for standing in accounted.standings().values()))
        assert {cell for cell, _ in accounted.submit().keys} == {"cell2"}
    finally:
        accounted.settle()
        accounted.slurm.ask("sacctmgr", "-i", "modify", "user", user, "set", "MaxSubmitJobs=-1")
