"""Provenance: known things by value, unknown ones with the reason."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from prefix_rft.runs.provenance import collect, write_provenance


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit; returns the package folder in it."""
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(name, "somebody@example.org")
    package = tmp_path / "checkout" / "package"
    package.mkdir(parents=True)
    (package / "code.py").write_text("one\n")
    (package.parent / ".gitignore").write_text("ignored/\n")
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run(["git", "-C", str(package.parent), *command], check=True)
    return package


def test_a_clean_checkout_has_a_commit_and_no_difference(checkout: Path) -> None:
    commit = subprocess.run(
        ["git", "-C", str(checkout), "rev-parse", "HEAD"], capture_output=True, text=True
    ).stdout
    assert collect(folder=checkout)["source"] == {"commit": commit.strip(), "dirty": None, "reason": None}


def test_edits_and_new_files_have_digests_of_their_own(checkout: Path) -> None:
    digests = []
    (checkout / "code.py").write_text("two\n")
    digests.append(collect(folder=checkout)["source"]["dirty"])
    for text in ("new", "newer"):
        (checkout / "new.py").write_text(text)
        digests.append(collect(folder=checkout)["source"]["dirty"])
    assert None not in digests
    assert len(set(digests)) == 3


def test_links_to_folders_and_to_nowhere_are_no_obstacle(checkout: Path) -> None:
    (checkout / "folder").mkdir()
    (checkout / "link").symlink_to("folder")
    (checkout / "dangling").symlink_to("nowhere")
    before = collect(folder=checkout)["source"]["dirty"]
    (checkout / "link").unlink()
    (checkout / "link").symlink_to("elsewhere")
    assert None not in (before, collect(folder=checkout)["source"]["dirty"])
    assert before != collect(folder=checkout)["source"]["dirty"]


def test_no_checkout_is_null_with_the_reason(tmp_path: Path) -> None:
    source = collect(folder=tmp_path)["source"]
    assert (source["commit"], source["dirty"]) == (None, None)
    assert "not a git repository" in source["reason"]


def test_an_installed_copy_inside_another_repository_is_not_its_commit(checkout: Path) -> None:
    installed = checkout.parent / "ignored" / "package"
    installed.mkdir(parents=True)
    source = collect(folder=installed)["source"]
    assert source["commit"] is None
    assert "installed copy inside the unrelated repository" in source["reason"]


def test_without_git_the_reason_says_so(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert collect(folder=checkout)["source"]["reason"] == "git is not installed"


def test_the_lock_file_is_hashed_or_missed(checkout: Path) -> None:
    missing = collect(folder=checkout)["lock"]
    assert missing == {"sha256": None, "reason": f"there is no {checkout.parent}/requirements/lock.txt"}
    (checkout.parent / "requirements").mkdir()
    (checkout.parent / "requirements" / "lock.txt").write_text("abc")
    found = collect(folder=checkout)["lock"]["sha256"]
    assert found == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_machine_packages_and_command(tmp_path: Path) -> None:
    facts = collect(["python", "-m", "train", "a b"], tmp_path)
    assert facts["command"] == "python -m train 'a b'"
    assert facts["python"] == ".".join(str(part) for part in sys.version_info[:3])
    assert facts["packages"]["pydantic"][0] == "2"
    assert facts["cpu"]["count"] >= facts["cpu"]["usable"] >= 1


def test_earlier_attempts_are_kept(tmp_path: Path) -> None:
    for number in range(3):
        write_provenance(tmp_path, [f"attempt-{number}"])
    facts = json.loads((tmp_path / "provenance.json").read_text())
    assert facts["command"] == "attempt-2"
    assert [earlier["command"] for earlier in facts["earlier"]] == ["attempt-0", "attempt-1"]
