"""One of verl's workers without Ray: it takes mini-batches from files and writes down their gradients.

`python engine_process.py FOLDER RANK WORLD`; FOLDER holds verl.yaml, cases.pt and, when all workers are done,
gradients_WORLD.pt: for each case the gradient by parameter and the sums that the loss reported.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import torch


def main(folder: Path, rank: int, world: int) -> None:
    from omegaconf import OmegaConf
    from verl.workers.engine_workers import ActorRolloutRefWorker

    config = OmegaConf.load(folder / "verl.yaml")
    worker = ActorRolloutRefWorker(config=config.actor_rollout_ref, role="actor")
    worker.init_model()
    cases = torch.load(folder / "cases.pt", weights_only=False)
    found = {name: run_case(worker, case, rank, world) for name, case in cases.items()}
    if rank == 0:
        torch.save(found, folder / f"gradients_{world}.pt")
    torch.distributed.barrier()


def run_case(worker: Any, case: dict[str, Any], rank: int, world: int) -> dict[str, Any]:
    """Gradient of one mini-batch, of which this worker holds a consecutive piece; no optimizer step is taken."""
    engine, gradient = worker.actor.engine, {}

    def record() -> float:
        for name, parameter in engine.module.named_parameters():
            gradient[name] = parameter.grad.full_tensor().clone()
        return 0.0

    engine.optimizer_step = record
    worker.set_loss_fn(case["loss"])
    rows = case["rows"]
    share = len(rows) // world
    metrics = worker.update_actor(mini_batch(rows[rank * share : (rank + 1) * share], len(rows), case))[
        "metrics"
    ]
    sums = ("loss", "clipped", "log_ratio", "ratio_tokens")
    return {"gradient": gradient, **{name: float(torch.tensor(metrics[name]).mean()) for name in sums}}


def mini_batch(rows: list[dict[str, torch.Tensor]], size: int, case: dict[str, Any]) -> Any:
    """What verl's queue hands to a worker."""
    from tensordict import TensorDict
    from verl.utils import tensordict_utils as tu

    fields = {
        name: torch.nested.as_nested_tensor([row[name] for row in rows], layout=torch.jagged)
        for name in rows[0]
    }
    data = TensorDict(fields, batch_size=len(rows))
    tu.assign_non_tensor(
        data,
        calculate_entropy=case["loss"].entropy_coefficient > 0,
        global_batch_size=size,
        mini_batch_size=size,
        epochs=1,
        seed=0,
        dataloader_kwargs={"shuffle": False},
        temperature=case["temperature"],
        max_token_len_per_gpu=case["micro_batch_tokens"],
    )
    return data


if __name__ == "__main__":
    os.environ["RANK"], os.environ["WORLD_SIZE"] = sys.argv[2], sys.argv[3]
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
