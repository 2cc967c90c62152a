"""What `prefix-rft doctor` finds on a real cluster, of a profile that fits and of those that do not."""

from __future__ import annotations

import pytest

from slurm.commands import Slurm
from slurm.doctor import examine
from slurm.profile import Profile, Resources

pytestmark = pytest.mark.slurm


def found(cells, profile, folder):
    findings = list(examine(cells.slurm, profile, folder, ("train", "evaluate"), ("json",)))
    return {finding.what: (finding.good, finding.said) for finding in findings}


def test_a_profile_that_fits_has_nothing_to_change(cells, tmp_path):
    said = found(cells, Profile(resources=Resources(partition="low", cpus=2)), tmp_path / "store")
    assert all(good for good, _ in said.values()), said
    assert "train: resources" in said
    assert "comment" in said
    assert said["controller"][1].startswith("sandbox, SLURM ")
    assert said["python"][1].endswith("on a node and imports json")
    assert list((tmp_path / "store").iterdir()) == []


@pytest.mark.parametrize(
    ("profile", "what", "said"),
    [
        (
            Profile(resources=Resources(partition="gpu")),
            "train: partition",
            "no partition gpu. There are: high, low",
        ),
        (Profile(resources=Resources(gres="gpu:9")), "train: resources", "Invalid generic resource"),
        (
            Profile(resources=Resources(cpus=99)),
            "train: resources",
            "The cluster has: low*: 4 nodes, 4 cores",
        ),
        (Profile(max_array_size=5000), "max_array_size", "the cluster takes 1000: leave it out"),
        (Profile(python="/nowhere/python"), "python", "Set python, setup or container in the profile"),
    ],
    ids=["partition", "gres", "cpus", "array", "python"],
)
def test_what_does_not_fit_is_named_with_what_to_change(cells, tmp_path, profile, what, said):
    good, words = found(cells, profile, tmp_path)[what]
    assert not good
    assert said in words


class Commenting(Slurm):
    """A cluster whose administrators write into every job's comment."""

    def ask(self, *command, **how):
        changed = ["--comment=theirs" if word.startswith("--comment=") else word for word in command]
        return super().ask(*changed, **how)


def test_a_cluster_that_changes_comments_is_found_out(cells, tmp_path):
    cells.slurm = Commenting(cells.slurm.environment)
    good, said = found(cells, Profile(), tmp_path)["comment"]
    assert not good
    assert "puts 'theirs' in the place of a job's comment" in said


def test_a_python_that_is_not_there_says_nothing_against_the_folder(cells, tmp_path):
    said = found(cells, Profile(python="/nowhere/python"), tmp_path)
    assert [what for what, (good, _) in said.items() if not good] == ["python"]
    assert "/nowhere/python: No such file or directory" in said["python"][1]


def test_a_controller_that_is_down_ends_it(cells, sandbox, tmp_path):
    sandbox.end("slurmctld")
    said = found(cells, Profile(), tmp_path)
    sandbox.start_controller()
    cells.wait(lambda: cells.slurm.try_to_ask("squeue") is not None)
    assert list(said) == ["programs", "controller"]
    assert not said["controller"][0]
