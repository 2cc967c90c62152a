"""The copy of the code: what belongs to it, that its name is its content, and that a later edit does not reach it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from slurm.errors import SubmissionError
from slurm.snapshot import SOURCE_FILE, digest, files, snapshot

SOURCE = {"commit": "c0ffee", "dirty": None}


@pytest.fixture
def code(tmp_path):
    """A checkout with a committed, a changed, an untracked, an ignored and a deleted file, and a link."""
    folder = tmp_path / "code"
    (folder / "slurm").mkdir(parents=True)
    for name, text in (
        ("slurm/a.py", "old"),
        ("gone.py", ""),
        (".gitignore", "*.log\n"),
        ("it's odd\n.txt", "x"),
    ):
        (folder / name).write_text(text)
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    for command in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-qm", "first")):
        subprocess.run(["git", *command], cwd=folder, check=True)
    (folder / "slurm" / "a.py").write_text("changed")
    (folder / "new.py").write_text("untracked")
    (folder / "run.log").write_text("ignored")
    (folder / "gone.py").unlink()
    (folder / "link").symlink_to("new.py")
    return folder


def test_changed_and_untracked_files_belong_to_it_and_ignored_ones_do_not(code):
    assert files(code) == [".gitignore", "it's odd\n.txt", "link", "new.py", "slurm/a.py"]


def test_the_copy_has_what_lies_on_disk_and_says_what_it_is(code, tmp_path):
    copy = snapshot(tmp_path / "kept", SOURCE, code=code)
    assert (copy / "slurm" / "a.py").read_text() == "changed"
    assert os.readlink(copy / "link") == "new.py"
    assert json.loads((copy / SOURCE_FILE).read_text()) == SOURCE
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == [copy.name]


def test_the_same_code_is_one_folder_and_other_code_another(code, tmp_path):
    first = snapshot(tmp_path / "kept", SOURCE, code=code)
    assert snapshot(tmp_path / "kept", SOURCE, code=code) == first
    (code / "new.py").write_text("edited")
    second = snapshot(tmp_path / "kept", SOURCE, code=code)
    assert second != first
    assert (first / "new.py").read_text() == "untracked"
    (code / "new.py").write_text("untracked")
    assert snapshot(tmp_path / "kept", SOURCE, code=code) == first


def test_runs_inside_the_checkout_are_left_out(code):
    (code / "myruns").mkdir()
    (code / "myruns" / "big.bin").write_text("x")
    copy = snapshot(code / "myruns" / "slurm", SOURCE, code=code, but=[code / "myruns"])
    assert not (copy / "myruns").exists()
    assert snapshot(code / "myruns" / "slurm", SOURCE, code=code, but=[code / "myruns"]) == copy


def test_far_more_than_code_is_refused_by_name(code, tmp_path, monkeypatch):
    monkeypatch.setattr("slurm.snapshot.MOST_BYTES", 1_000_000)
    (code / "data").mkdir()
    (code / "data" / "big.bin").write_bytes(b"x" * 2_000_000)
    with pytest.raises(
        SubmissionError, match=r"is 2 MB, of which data 2 MB: .* 1 MB at most. Name in .gitignore"
    ):
        snapshot(tmp_path / "kept", SOURCE, code=code)
    assert not (tmp_path / "kept").exists()


def test_a_file_that_is_edited_while_it_is_copied_does_not_get_the_old_name(code, tmp_path, monkeypatch):
    before, copy_one = digest(code, files(code)), shutil.copy2

    def copy_late(source, target, **how):
        (code / "new.py").write_text("edited in between")
        return copy_one(source, target, **how)

    monkeypatch.setattr("slurm.snapshot.shutil.copy2", copy_late)
    copy = snapshot(tmp_path / "kept", SOURCE, code=code)
    assert (copy / "new.py").read_text() == "edited in between"
    assert copy.name == digest(code, files(code)) != before


def test_a_file_that_vanishes_is_an_error_with_its_name(code, tmp_path, monkeypatch):
    monkeypatch.setattr("slurm.snapshot.files", lambda folder: ["new.py", "vanished.py"])
    with pytest.raises(SubmissionError, match=r"cannot copy the code .*vanished.py"):
        snapshot(tmp_path / "kept", SOURCE, code=code)


def test_what_is_no_checkout_is_copied_by_its_packages(tmp_path):
    for name in ("slurm/a.py", "slurm/__pycache__/a.pyc", "elsewhere/b.py"):
        (tmp_path / "site" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "site" / name).write_text("x")
    assert files(tmp_path / "site") == ["slurm/a.py"]


def test_a_run_from_a_copy_names_the_commit_it_is_a_copy_of(tmp_path):
    """The whole suite, copied: provenance is asked in a process that imports from there."""
    copy = snapshot(tmp_path, SOURCE)
    code = "import prefix_rft.runs.provenance as p; print(p.__file__); print(p.loaded_source())"
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONSAFEPATH": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines() == [f"{copy}/prefix_rft/runs/provenance.py", str(SOURCE)]
