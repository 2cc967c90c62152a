"""Submission against a scripted cluster: what is left alone, what a refusal leaves, what is found again."""

from __future__ import annotations

import json

import pytest

from slurm.arrays import Job
from slurm.errors import CommandError, SubmissionError
from slurm.profile import Profile, StageResources
from slurm.submit import Terms, rehearse, submit
from slurm.testing.fake import option


def dependencies(slurm):
    return [option(text, "dependency") for text in slurm.scripts]


def test_what_is_done_or_live_is_not_submitted_again(faked):
    for name in ("done", "live", "new"):
        faked.add(name)
    faked.submit(["live"])
    for stage in ("train", "evaluate"):
        (faked.folder / "done" / f"{stage}.done").touch()
    outcome = faked.submit()
    assert outcome.done == {("done", "train"), ("done", "evaluate")}
    assert outcome.live == {("live", "train"), ("live", "evaluate")}
    assert outcome.keys == {("new", "train"), ("new", "evaluate")}
    assert faked.submit().submitted == []


def test_an_evaluation_is_chained_to_a_training_that_is_live_already(faked):
    faked.add("cell")
    faked.submit(jobs=faked.jobs()[:1])
    faked.submit()
    assert dependencies(faked.slurm) == [None, "aftercorr:11"]


def test_a_refusal_half_way_leaves_what_was_taken_and_the_same_call_goes_on(faked):
    faked.add("cell")
    faked.slurm.refusals[:] = [None, CommandError("sbatch refused: Job violates accounting/QOS policy")]
    with pytest.raises(SubmissionError, match="1 jobs before it are submitted and go on; the same command"):
        faked.submit()
    assert [(entry.job, entry.closed) for entry in faked.book.entries()] == [
        ("11", None),
        (None, "sbatch refused: Job violates accounting/QOS policy"),
    ]
    assert faked.submit().keys == {("cell", "evaluate")}
    assert dependencies(faked.slurm) == [None, "aftercorr:11"]


def test_an_answer_that_was_lost_is_looked_for(faked):
    """sbatch says that it does not know; SLURM had taken the array."""
    faked.add("cell")
    taken = type(faked.slurm).submit

    def submit_and_lose(self, folder, name, **how):
        taken(self, folder, name, **how)
        raise CommandError("sbatch refused: Socket timed out", unsure=True)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(faked.slurm), "submit", submit_and_lose)
        with pytest.raises(SubmissionError, match="nothing was submitted"):
            faked.submit()
    assert [entry.open for entry in faked.book.entries()] == [True]
    assert faked.submit().keys == {("cell", "evaluate")}


def test_an_array_that_slurm_never_had_is_given_up_and_its_jobs_would_do_nothing(faked):
    faked.add("cell")
    faked.slurm.refusals[:] = [CommandError("sbatch refused: Socket timed out", unsure=True)]
    with pytest.raises(SubmissionError):
        faked.submit()
    assert len(faked.submit().keys) == 2
    first = faked.book.entries()[0]
    assert first.closed is not None
    assert (faked.book.array(first.token) / "closed").exists()


def test_an_array_that_slurm_has_forgotten_is_known_by_what_its_jobs_wrote(faked):
    faked.add("cell")
    faked.slurm.refusals[:] = [CommandError("sbatch refused: Socket timed out", unsure=True)]
    with pytest.raises(SubmissionError):
        faked.submit()
    (entry,) = faked.book.entries()
    (faked.book.array(entry.token) / "ends" / "0.json").write_text(json.dumps({"ref": "77_0"}))
    (faked.folder / "cell" / "train.done").touch()
    faked.submit()
    assert faked.book.entries()[0].job == "77"


def test_a_silent_controller_submits_nothing(faked):
    faked.add("cell")
    faked.slurm.silent.append(True)
    with pytest.raises(CommandError, match="Unable to contact"):
        faked.submit()
    assert faked.book.entries() == []


def test_a_number_that_belongs_to_somebody_else_now_is_not_ours(faked):
    """A controller that lost its state gives numbers away again."""
    faked.add("cell")
    faked.submit()
    for job in faked.slurm.jobs.values():
        job[5] = "another's"
    assert {standing.word for standing in faked.standings().values()} == {"lost", "cancelled"}
    assert len(faked.submit().keys) == 2


def test_what_finds_no_room_is_left_whole(faked):
    faked.profile = Profile(max_submitted=5)
    for name in "abc":
        faked.add(name)
    outcome = faked.submit()
    assert (outcome.keys, outcome.left) == (
        {(cell, stage) for cell in "ab" for stage in ("train", "evaluate")},
        {("c", "train"), ("c", "evaluate")},
    )
    assert faked.submit().submitted == []


def test_the_controllers_own_limits_hold(faked):
    faked.slurm.config.update(MaxArraySize="3", MaxJobCount="9")
    for number in range(5):
        faked.add(f"cell{number}")
    outcome = faked.submit()
    assert [len(entry.cells) for entry in outcome.submitted] == [2, 2, 2, 2]
    assert {cell for cell, _ in outcome.left} == {"cell4"}


def test_the_last_job_waits_for_everything_however_it_ends(faked):
    faked.add("cell")
    submit(
        faked.slurm,
        faked.book,
        faked.jobs(),
        Terms(Profile(), "python"),
        is_done=faked.is_done,
        snapshot=lambda: None,
        last=Job("all", "aggregate", ("-c", "pass")),
    )
    assert dependencies(faked.slurm) == [None, "aftercorr:11", "afterany:11:12"]


def test_what_a_job_does_stands_as_data_beside_the_script(faked):
    odd = Job("x", "train", ("-c", "a 'b' $c\n\"d\""), environment={"OMP_NUM_THREADS": "2"})
    terms = Terms(Profile(), "python", folder="/some where")
    submit(faked.slurm, faked.book, [odd], terms, is_done=faked.is_done, snapshot=lambda: None)
    (entry,) = faked.book.entries()
    assert json.loads((faked.book.array(entry.token) / "tasks.json").read_text()) == {
        "folder": "/some where",
        "max_requeues": 50,
        "tasks": {"0": {"cell": "x", "command": list(odd.command), "environment": {"OMP_NUM_THREADS": "2"}}},
    }


def test_a_rehearsal_has_the_scripts_and_leaves_nothing(faked):
    faked.add("a")
    faked.add("b")
    (faked.folder / "a" / "train.done").touch()
    drafts = rehearse(
        faked.slurm, faked.book, faked.jobs(), Terms(Profile(), "python"), is_done=faked.is_done, code=None
    )
    assert [(draft.entry.stage, option(text, "dependency")) for draft, text in drafts] == [
        ("train", None),
        ("evaluate", None),
        ("evaluate", "'aftercorr:<array 1>'"),
    ]
    assert not faked.book.folder.exists()


def test_a_job_of_several_nodes_starts_ray_across_them_first(faked):
    faked.profile = Profile(stages={"train": StageResources(nodes=2)})
    faked.add("cell")
    faked.submit()
    commands = [
        json.loads((faked.book.array(entry.token) / "tasks.json").read_text())["tasks"]["0"]["command"]
        for entry in faked.book.entries()
    ]
    assert [command[:2] == ["-m", "slurm.ray_cluster"] for command in commands] == [True, False]
