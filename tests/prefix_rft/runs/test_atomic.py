"""Whatever interrupts a write, the old file or the new one is there, whole."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from prefix_rft.errors import RunError
from prefix_rft.runs import atomic

WRITE_FOR_EVER = """
import sys
from pathlib import Path
from prefix_rft.runs.atomic import write_text
path = Path(sys.argv[1])
for turn in range(10**9):
    write_text(path, f"{turn % 10}" * 300_000, durable=False)
    if turn == 0:
        print("begun", flush=True)
"""


@pytest.mark.parametrize("delay", [0.0, 0.003, 0.011, 0.027])
def test_a_kill_leaves_a_whole_file(tmp_path: Path, delay: float) -> None:
    path = tmp_path / "file"
    process = subprocess.Popen([sys.executable, "-c", WRITE_FOR_EVER, str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.wait()
    content = path.read_text()
    assert content == content[0] * 300_000


def test_a_full_disk_keeps_the_old_file_and_says_how_much_is_free(small_disk: Path) -> None:
    path = small_disk / "state.json"
    atomic.write_text(path, "old")
    with pytest.raises(RunError) as caught:
        atomic.write_bytes(path, bytes(1 << 20))
    assert path.read_text() == "old"
    assert os.listdir(small_disk) == ["state.json"]
    message = str(caught.value)
    assert "state.json: No space left on device" in message
    assert re.search(r"0\.\d of 0 MiB free", message)
    assert "store=" in message


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "Free some space"),
        (errno.EROFS, "Make that folder writable for you"),
        (errno.ENOENT, "See to it that the folder is there"),
    ],
)
def test_what_helps_depends_on_why_the_disk_refused(tmp_path: Path, number: int, advice: str) -> None:
    said = str(atomic.refused(tmp_path / "rows", OSError(number, os.strerror(number))))
    assert advice in said
    assert os.strerror(number) in said


def test_a_refused_sync_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    atomic.write_text(path, "old")

    def fail(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(RunError, match="Input/output error"):
        atomic.write_text(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_not_a_number_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        atomic.write_json(tmp_path / "file", {"a": float("nan")})
    assert os.listdir(tmp_path) == []


def test_damaged_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"a": ')
    with pytest.raises(RunError, match=r"cannot read .*state\.json"):
        atomic.read_json(tmp_path / "state.json")


def test_a_folder_appears_only_once(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "sub" / "file").write_text(name)
    atomic.move_into_place(tmp_path / "one", tmp_path / "target")
    with pytest.raises(FileExistsError):
        atomic.move_into_place(tmp_path / "two", tmp_path / "target")
    assert (tmp_path / "target" / "sub" / "file").read_text() == "one"


def test_a_folder_is_gone_from_its_name_before_its_files_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "step_1"
    folder.mkdir()
    seen: list[bool] = []
    monkeypatch.setattr(atomic.shutil, "rmtree", lambda path: seen.append(folder.exists()))
    atomic.remove_folder(folder)
    assert seen == [False]
