"""Checkpoints of a run of verl: the Hugging Face layout of every backend, and verl's own shards beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefix_rft.errors import CheckpointError
from prefix_rft.runs.atomic import read_json
from prefix_rft.runs.checkpoint import latest_checkpoint, save_checkpoint

if TYPE_CHECKING:
    from prefix_rft.verl_backend.job import Job

SHARDS = "verl"
"""Folder of what verl needs to go on: weights, optimizer and random states of each worker."""
METHOD_FILE = "method.json"
"""What the method remembers from step to step."""
ARRAYS = frozenset(
    {
        "_codecs.encode",
        "numpy._core.multiarray._reconstruct",
        "numpy.core.multiarray._reconstruct",
        "numpy.dtype",
        "numpy.ndarray",
    }
)
"""What verl's shards name beside what PyTorch itself calls safe: NumPy's random state is an array."""


def save(job: Job, step: int, workers: Any) -> None:
    """Save the state after a rollout step into the run's directory, which every worker must see.

    Raises:
        CheckpointError: the disk is full or refuses; older checkpoints are still there.
    """

    def write(folder: Path) -> None:
        shards = folder.absolute() / SHARDS
        workers.save_checkpoint(str(shards), None, step, max_ckpt_to_keep=None)
        for file in (shards / "huggingface").iterdir():
            file.rename(folder / file.name)
        (shards / "huggingface").rmdir()
        job.encoder.save(folder)
        if job.method.interleaved is not None:
            workers.save_second(str(shards))
        if state := job.method.state():
            (folder / METHOD_FILE).write_text(json.dumps(state) + "\n", encoding="utf-8")

    save_checkpoint(job.run.path, step, write, job.config.backend.keep_checkpoints)


def load(job: Job, workers: Any) -> int:
    """Take over the newest checkpoint, if there is one; returns its rollout step, 0 without.

    Raises:
        CheckpointError: it was saved by another number of workers, or not by this backend; or a shard would run code.
    """
    newest = latest_checkpoint(job.run.path)
    if newest is None:
        return 0
    shards, size = newest.path.absolute() / SHARDS, int(workers.world_size)
    if not (shards / f"model_world_size_{size}_rank_0.pt").exists():
        raise CheckpointError(
            f"{newest.path} cannot be gone on from with {size} workers: it holds no shards for so many. Ask for as "
            "many devices as before (backend.nodes, backend.devices_per_node), or delete it"
        )
    refuse_code(shards)
    workers.load_checkpoint(local_path=str(shards), del_local_after_load=False)
    if job.method.interleaved is not None:
        workers.load_second(str(shards))
    remembered = newest.path / METHOD_FILE
    if remembered.exists() or job.method.state():
        job.method.restore(read_json(remembered))
    return newest.step


def refuse_code(shards: Path) -> None:
    """Look at what unpickling verl's shards would call, without unpickling them: verl itself loads any pickle.

    Raises:
        CheckpointError: something other than tensors, numbers and arrays, or not a file of PyTorch's at all.
    """
    from torch.serialization import get_unsafe_globals_in_checkpoint

    for file in sorted(shards.rglob("*.pt")):
        try:
            strange = set(get_unsafe_globals_in_checkpoint(str(file))) - ARRAYS
        except (OSError, RuntimeError, ValueError, EOFError) as error:
            strange = {f"nothing readable ({error})"}
        if strange:
            raise CheckpointError(
                f"{file} would run code when it is loaded: it names {', '.join(sorted(strange)[:3])}. It was not "
                f"written by this run; delete {shards.parent}, and the run goes on from the checkpoint before it"
            )
