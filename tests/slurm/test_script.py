"""Batch scripts against golden ones: what stands in tests/slurm/golden is what SLURM is given."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from slurm.profile import FOLDER, Profile, Resources, read
from slurm.script import Array, compressed, script

GOLDEN = Path(__file__).parent / "golden"
TRAIN = Array("prefix-rft-train", "train", "20260102-030405-train-0a1b2c3d", (0, 1, 2, 5), None)
EVALUATE = Array(
    "prefix-rft-evaluate", "evaluate", "20260102-030405-evaluate-0a1b2c3d", (3,), "aftercorr:41", 8, 4
)
SCRIPTS = {
    "plain": script(TRAIN, Profile(), "/opt/python", None),
    "example_train": script(TRAIN, read(FOLDER / "example.yaml"), "/opt/python", Path("/store/snapshots/0f")),
    "example_evaluate": script(
        EVALUATE, read(FOLDER / "example.yaml"), "/opt/python", Path("/store/snapshots/0f")
    ),
    "odd_paths": script(
        TRAIN,
        Profile(resources=Resources(constraint="a100|h100"), container="apptainer exec --nv image.sif"),
        "/opt/it's $HOME/python",
        Path('/two\nlines and `id` "quoted"'),
    ),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_script_is_the_golden_one(name):
    assert SCRIPTS[name] == (GOLDEN / f"{name}.sh").read_text()


@pytest.mark.parametrize("name", SCRIPTS)
def test_bash_reads_it(name):
    assert subprocess.run(["bash", "-n"], input=SCRIPTS[name], text=True, capture_output=True).returncode == 0


def test_bash_gives_odd_paths_on_as_they_are(tmp_path):
    """The program at the end is replaced by one that prints what it got."""
    text = SCRIPTS["odd_paths"].replace("exec apptainer exec --nv image.sif", "printf '%s|' \"$PYTHONPATH\"")
    done = subprocess.run(["bash"], input=text, text=True, capture_output=True, env={"HOME": "/home"})
    assert done.stdout == '/two\nlines and `id` "quoted"|/opt/it\'s $HOME/python|-u|-m|slurm.task|'


@pytest.mark.parametrize(
    ("indices", "text"), [([0], "0"), ([2, 0, 1], "0-2"), ([0, 1, 2, 5, 7, 8], "0-2,5,7-8"), ([], "")]
)
def test_indices_are_written_shortly(indices, text):
    assert compressed(indices) == text
