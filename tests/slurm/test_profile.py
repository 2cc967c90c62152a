"""Cluster profiles: what differs by stage, and what is refused with which words."""

from __future__ import annotations

import pytest

from slurm.errors import ProfileError
from slurm.profile import FOLDER, Profile, Resources, StageResources, load, names


def test_a_stage_differs_only_in_what_it_names():
    profile = Profile(
        resources=Resources(partition="gpu", gres="gpu:4", minutes=720),
        stages={"evaluate": StageResources(minutes=60)},
    )
    assert profile.of("train") == profile.resources
    assert profile.of("evaluate") == Resources(partition="gpu", gres="gpu:4", minutes=60)


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_profile_that_comes_with_the_suite_is_read(file):
    assert load(file.stem) == load(str(file))


def test_an_unknown_cluster_is_told_the_known_ones():
    with pytest.raises(
        ProfileError, match=r"no cluster profile 'sandbx'. Did you mean 'sandbox'\? Known: example"
    ) as said:
        load("sandbx")
    assert "Copy slurm/clusters/example.yaml" in str(said.value)
    assert names() == ["example", "sandbox"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("resources: {partitions: x}", "resources.partitions: unknown. Known: partition, account"),
        ("minutes: 3", "minutes: unknown. Known: resources, stages"),
        ("resources: {minutes: 0}", "resources.minutes: Input should be greater than or equal to 1"),
        ("resources: {partition: a b}", "resources.partition: 'a b' holds blanks or line breaks"),
        ('resources: {partition: "a\\n#SBATCH -x"}', "holds blanks or line breaks"),
        ("resources: {options: {comment: mine}}", "comment is set by the submission itself"),
        ("stages: {train: {options: {mem: 4G}}}", "mem: say memory_gb, outside of options"),
        ("[1]", "a profile is a mapping"),
        ("a: [", "profile.yaml: "),
    ],
)
def test_a_malformed_profile_is_refused(tmp_path, text, said):
    file = tmp_path / "profile.yaml"
    file.write_text(text)
    with pytest.raises(ProfileError) as refused:
        load(str(file))
    assert said in str(refused.value)
