"""Every way a job can stand, from what SLURM says, what the job wrote down, and whether the results are there."""

from __future__ import annotations

import json

import pytest

from slurm.commands import own_environment
from slurm.queue import expand


@pytest.fixture
def submitted(faked):
    faked.add("cell")
    faked.submit()
    return faked


def ended(cells, **values):
    entry = cells.book.entries()[0]
    path = cells.book.array(entry.token) / "ends" / "0.json"
    path.write_text(json.dumps({"ref": "11_0", "node": "n2", "restarts": 1, **values}))


@pytest.mark.parametrize(
    ("state", "status", "end", "word", "cause"),
    [
        ("PENDING", 0, None, "pending", ""),
        ("REQUEUED", 0, {"code": 75, "requeue": True}, "pending", ""),
        ("RUNNING", 0, {}, "running", ""),
        ("COMPLETING", 0, {}, "running", ""),
        ("FAILED", 1 << 8, {"code": 1}, "failed", "exit 1"),
        ("FAILED", 137 << 8, {"code": -9}, "lost", "killed by SIGKILL on n2: out of memory, or by hand"),
        ("FAILED", 9, {}, "lost", "its process vanished on n2: killed, or the node went down"),
        ("FAILED", 139 << 8, {"code": -11}, "failed", "killed by SIGSEGV on n2"),
        ("FAILED", 75 << 8, {"code": 75, "why": "requeued 50 times"}, "failed", "requeued 50 times"),
        ("FAILED", 1 << 8, {"code": 75, "requeue": True}, "failed", "SLURM could not start it again"),
        ("FAILED", 1 << 8, None, "failed", "SLURM says FAILED exit 1"),
        ("TIMEOUT", 0, {}, "failed", "the time limit came before it could save"),
        ("OUT_OF_MEMORY", 0, {"code": -9}, "failed", "out of memory; more memory_gb in the profile"),
        ("NODE_FAIL", 0, {}, "lost", "its node failed"),
        ("CANCELLED", 0, {}, "cancelled", "cancelled by hand (scancel)"),
        ("COMPLETED", 0, {"code": 0}, "failed", "it ended well, but its results are not there"),
        (None, 0, {}, "lost", "its process vanished on n2"),
        (None, 0, {"code": 1}, "failed", "exit 1"),
        (None, 0, None, "lost", "SLURM has forgotten it, and it never began"),
    ],
)
def test_a_job_stands_as_its_signs_say(submitted, state, status, end, word, cause):
    if end is not None:
        ended(submitted, **end)
    if state is None:
        submitted.slurm.jobs.clear()
    else:
        submitted.slurm.becomes("11_0", state, status=status)
    standing = submitted.standings()["cell", "train"]
    assert standing.word == word
    assert cause in standing.cause
    assert bool(cause) == bool(standing.cause)


def test_results_count_more_than_what_slurm_says(submitted):
    submitted.slurm.becomes("11_0", "FAILED", status=256)
    (submitted.folder / "cell" / "train.done").touch()
    assert submitted.standings()["cell", "train"].word == "done"


def test_where_slurm_does_not_answer_nothing_is_lost(submitted):
    submitted.slurm.silent.append(True)
    assert {standing.word for standing in submitted.standings().values()} == {"unknown"}


@pytest.mark.parametrize(("state", "again"), [("FAILED", True), ("CANCELLED", False)])
def test_what_waited_goes_again_with_what_failed_but_not_with_what_was_cancelled(submitted, state, again):
    submitted.slurm.becomes("11_0", state, status=256)
    submitted.slurm.becomes("12_0", "CANCELLED", nodes="")
    found = submitted.standings()
    evaluation = found["cell", "evaluate"]
    assert evaluation.word == "cancelled"
    assert evaluation.cause == f"not started: train of cell is {found['cell', 'train'].word}"
    assert (found["cell", "train"].to_resume, evaluation.to_resume) == (again, again)


def test_accounts_tell_of_what_squeue_has_forgotten(submitted):
    submitted.slurm.jobs.clear()
    submitted.slurm.accounts["11"] = "11_0|TIMEOUT|n3|0:15"
    standing = submitted.standings()["cell", "train"]
    assert (standing.word, standing.nodes, standing.slurm) == ("failed", "n3", "TIMEOUT")


def test_ranges_of_an_array_are_told_apart():
    assert expand("12_[0-2,7%3]") == ["12_0", "12_1", "12_2", "12_7"]
    assert expand("12_4") == ["12_4"]


def test_a_job_inside_a_job_does_not_take_over_what_belongs_to_the_outer_one():
    given = {
        "SLURM_MEM_PER_CPU": "1",
        "SBATCH_PARTITION": "x",
        "SLURM_CONF": "/etc/s",
        "SLURMD_NODENAME": "n",
        "A": "b",
    }
    assert own_environment(given) == {"SLURM_CONF": "/etc/s", "A": "b"}
