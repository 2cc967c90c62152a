"""Checkpoints under every misfortune: kill, full disk, bit rot, mixed-up folders."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from prefix_rft.errors import CheckpointError
from prefix_rft.runs.checkpoint import latest_checkpoint, list_checkpoints, save_checkpoint, verify


def _writer(size: int = 1000, seed: int = 0) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "state").mkdir()
        (folder / "model.bin").write_bytes(random.Random(seed).randbytes(size))
        (folder / "state" / "rng.json").write_text("[1, 2]")

    return write


def _entries(run: Path) -> set[str]:
    return set(os.listdir(run / "checkpoints"))


def test_the_newest_stay(tmp_path: Path) -> None:
    for step in (9, 10, 100):
        save_checkpoint(tmp_path, step, _writer(seed=step), keep=2)
    assert [checkpoint.step for checkpoint in list_checkpoints(tmp_path)] == [10, 100]
    assert _entries(tmp_path) == {"step_10", "step_100"}
    latest = latest_checkpoint(tmp_path)
    assert latest is not None
    assert (latest.step, latest.run_id) == (100, tmp_path.name)
    verify(latest)


def test_a_run_without_checkpoints_has_none(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path) is None


def test_the_manifest_names_every_file(tmp_path: Path) -> None:
    checkpoint = save_checkpoint(tmp_path, 1, _writer(), keep=1)
    manifest = json.loads((checkpoint.path / "manifest.json").read_text())
    assert manifest["files"].keys() == {"model.bin", "state/rng.json"}
    assert manifest["files"]["state/rng.json"] == {
        "size": 6,
        "sha256": "3a316d6d3226f84c1e46e4447fa8d5fd800bff4a1bc6498152523cd4a602b69b",
    }


def test_a_saved_step_is_not_written_again(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, _writer(), keep=1)

    def fail(folder: Path) -> None:
        raise AssertionError("written again")

    save_checkpoint(tmp_path, 1, fail, keep=1)


def test_a_damaged_step_is_written_again(tmp_path: Path) -> None:
    checkpoint = save_checkpoint(tmp_path, 1, _writer(), keep=1)
    (checkpoint.path / "model.bin").write_bytes(b"")
    verify(save_checkpoint(tmp_path, 1, _writer(), keep=1))
    assert _entries(tmp_path) == {"step_1"}


@pytest.mark.parametrize("name", ["model.bin", "state/rng.json"])
@pytest.mark.parametrize("seed", range(5))
def test_one_flipped_bit_is_found_and_the_file_named(tmp_path: Path, name: str, seed: int) -> None:
    checkpoint = save_checkpoint(tmp_path, 3, _writer(), keep=1)
    path, chance = checkpoint.path / name, random.Random(seed)
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=re.escape(str(checkpoint.path))):
        verify(checkpoint)


def test_a_flipped_bit_in_any_byte_of_a_manifest_is_found(tmp_path: Path) -> None:
    checkpoint = save_checkpoint(tmp_path, 3, _writer(), keep=1)
    path = checkpoint.path / "manifest.json"
    saved = path.read_bytes()
    for position in range(len(saved)):
        content = bytearray(saved)
        content[position] ^= 1 << position % 8
        path.write_bytes(content)
        if not _same_json(content, saved):
            with pytest.raises(CheckpointError):
                verify(checkpoint, hashes=False)


def _same_json(one: bytes, other: bytes) -> bool:
    try:
        return bool(json.loads(one) == json.loads(other))
    except ValueError:
        return False


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    checkpoint = save_checkpoint(tmp_path, 3, _writer(), keep=1)
    model = checkpoint.path / "model.bin"
    content = model.read_bytes()
    model.write_bytes(content[:-1])
    with pytest.raises(
        CheckpointError, match=r"model\.bin is 999 bytes long, 1000 were saved.*Delete that folder"
    ):
        verify(checkpoint, hashes=False)
    model.write_bytes(bytes(1000))
    verify(checkpoint, hashes=False)
    with pytest.raises(
        CheckpointError, match=r"model\.bin is of the right length, but its content has changed"
    ):
        verify(checkpoint)
    model.unlink()
    with pytest.raises(CheckpointError, match=r"model\.bin is missing"):
        verify(checkpoint)
    (checkpoint.path / "manifest.json").unlink()
    with pytest.raises(CheckpointError, match=r"manifest\.json is missing"):
        verify(checkpoint)


def test_a_checkpoint_of_another_run_or_step_is_refused(tmp_path: Path) -> None:
    one, two = tmp_path / "aaaaaaaaaaaa", tmp_path / "bbbbbbbbbbbb"
    one.mkdir()
    two.mkdir()
    saved = save_checkpoint(one, 3, _writer(), keep=1)
    shutil.copytree(one / "checkpoints", two / "checkpoints")
    (moved,) = list_checkpoints(two)
    with pytest.raises(CheckpointError, match="belongs to run aaaaaaaaaaaa, not to run bbbbbbbbbbbb"):
        verify(moved)
    saved.path.rename(saved.path.with_name("step_4"))
    (renamed,) = list_checkpoints(one)
    with pytest.raises(CheckpointError, match=r"manifest\.json is of step 3"):
        verify(renamed)


def test_a_full_disk_keeps_the_older_checkpoint(small_disk: Path) -> None:
    save_checkpoint(small_disk, 1, _writer(100_000), keep=1)
    with pytest.raises(CheckpointError, match=r"cannot write .*step_2: No space left on device \(0\.\d of"):
        save_checkpoint(small_disk, 2, _writer(200_000), keep=1)
    (left,) = list_checkpoints(small_disk)
    verify(left)
    assert (left.step, _entries(small_disk)) == (1, {"step_1"})


@pytest.mark.parametrize("library", ["safetensors", "torch"])
def test_a_full_disk_is_named_whatever_the_library_raises(small_disk: Path, library: str) -> None:
    torch = pytest.importorskip("torch")
    tensors = {"w": torch.zeros(200_000)}

    def write(folder: Path) -> None:
        if library == "torch":
            torch.save(tensors, folder / "w.pt")
        else:
            from safetensors.torch import save_file

            save_file(tensors, folder / "w.safetensors")

    with pytest.raises(CheckpointError, match="No space left on device"):
        save_checkpoint(small_disk, 1, write, keep=1)
    assert _entries(small_disk) == set()


def test_another_error_of_the_writer_passes_and_leaves_nothing(tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        (folder / "half").write_text("half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        save_checkpoint(tmp_path, 1, write, keep=1)
    assert _entries(tmp_path) == set()


def test_keeping_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="keep=0"):
        save_checkpoint(tmp_path, 1, _writer(), keep=0)


SAVE_FOR_EVER = """
import sys
from pathlib import Path
from prefix_rft.runs.checkpoint import save_checkpoint
for step in range(1, 10**9):
    def write(folder):
        for name in range(8):
            (folder / str(name)).write_bytes(bytes([step % 256]) * 200_000)
    save_checkpoint(Path(sys.argv[1]), step, write, keep=2)
    print(step, flush=True)
"""


@pytest.mark.parametrize("delay", [0.0, 0.004, 0.013, 0.031, 0.057])
def test_a_kill_leaves_whole_checkpoints_and_the_next_save_cleans_up(tmp_path: Path, delay: float) -> None:
    process = subprocess.Popen([sys.executable, "-c", SAVE_FOR_EVER, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    saved = [1, *(int(line) for line in process.stdout.read().split())]
    process.wait()
    found = list_checkpoints(tmp_path)
    for checkpoint in found:
        verify(checkpoint)
    assert found[-1].step in (saved[-1], saved[-1] + 1)
    save_checkpoint(tmp_path, 10**6, _writer(), keep=1)
    assert _entries(tmp_path) == {"step_1000000"}
