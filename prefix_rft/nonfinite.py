"""Numbers that are not finite: found before an optimizer step is taken, written down with their batch, refused.

Axes: B rows (responses), T response tokens, L tokens of prompt and response.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from prefix_rft.errors import RunError, TrainingError
from prefix_rft.rollout import StepContext
from prefix_rft.runs.atomic import write_bytes, write_json
from prefix_rft.settings.optimisation import OnNonfinite

FOLDER = "nonfinite"
"""Of the run's directory, for the batches."""
SKIPPED_IN_A_ROW = 3
"""How often steps are left out, none taken in between, until a run stops whatever the setting."""
_KEPT = 4
"""Batches that stay, the newest ones."""
_MOST_BYTES = 16 << 20
"""Of one batch's tensors; rows with a number that is not finite come first."""


class NonFiniteError(TrainingError):
    """A number is not finite where the training needs it."""

    def __init__(self, quantity: str, **values: float | str | Sequence[str]) -> None:
        """Say what it is.

        Args:
            quantity: in words: log-probabilities, loss, gradient.
            values: what else is known, by name.
        """
        shown = [f"{name} {value}" for name, value in values.items() if isinstance(value, float | str)]
        super().__init__(f"{quantity} not finite" + (f" ({', '.join(shown)})" if shown else ""))
        self.quantity = quantity
        self.values = values


@dataclass(frozen=True)
class Batch:
    """The rows that an optimizer step would have used."""

    tensors: Mapping[str, Tensor]
    """By name; the first axis is B of every one."""
    question_ids: Sequence[str] = ()
    """Of each row, where they are known."""

    @property
    def rows(self) -> int:
        """B."""
        return len(next(iter(self.tensors.values()), torch.zeros(0)))


def require_finite(**quantities: Tensor | None) -> None:
    """Look at some tensors, named by what they are (`_` stands for a space).

    Raises:
        NonFiniteError: the first that holds NaN or an infinity.
    """
    for name, values in quantities.items():
        if values is None or bool((fine := values.isfinite()).all()):
            continue
        broken = values.detach()[~fine]
        raise NonFiniteError(
            name.replace("_", " "), found=f"{float(broken[0])} in {len(broken)} of {values.numel()}"
        )


@dataclass(frozen=True)
class Guard:
    """What a run does then."""

    run_path: Path | None = None
    """Its directory; None writes nothing down."""
    on_nonfinite: OnNonfinite = "stop"
    settings: str = "optimisation"
    """Where the learning rate and max_grad_norm stand."""
    name: str = "mini-batch"
    """Of what an optimizer step takes, in messages and file names."""
    can_skip: bool = True
    """Whether the backend can leave a step out."""

    def meet(
        self, error: NonFiniteError, at: StepContext, part: int | None, batch: Batch, in_a_row: int
    ) -> None:
        """Write the batch down; returning means that the step is left out.

        Args:
            error: what was found.
            at: the rollout step.
            part: the mini-batch, from 0; None: the whole rollout step.
            batch: its rows.
            in_a_row: how often steps were left out since the last that was taken, this time included.

        Raises:
            TrainingError: the run stops here: by the setting, or since too many steps were left out.
        """
        where = f"rollout step {at.step + 1}" + ("" if part is None else f", {self.name} {part + 1}")
        saved = self._saved(error, at, part, batch)
        if self.on_nonfinite == "skip" and in_a_row < SKIPPED_IN_A_ROW:
            return
        raise TrainingError(f"{where}: {error}. {saved}{self._next()}") from error

    def refuse(self, error: NonFiniteError, reason: str, at: StepContext, batch: Batch) -> TrainingError:
        """The error of a rollout step that no setting can leave out, its batch written down."""
        return TrainingError(
            f"rollout step {at.step + 1}: {reason}. {self._saved(error, at, None, batch)}".strip()
        )

    def _next(self) -> str:
        advice = (
            f"lower {self.settings}.learning_rate or max_grad_norm, or look at the questions of this step"
        )
        if self.on_nonfinite == "skip":
            return (
                f"It is the {SKIPPED_IN_A_ROW}rd in a row, at which the run stops even with "
                f"optimisation.on_nonfinite=skip: {advice}; the last checkpoint is from before them"
            )
        skip = "; with optimisation.on_nonfinite=skip the same command goes on from there and leaves such steps out"
        return f"The last checkpoint is from before it: {advice}{skip if self.can_skip else ''}"

    def _saved(self, error: NonFiniteError, at: StepContext, part: int | None, batch: Batch) -> str:
        """A sentence that says where the batch is; a disk that refuses it must not hide the error itself."""
        if self.run_path is None:
            return ""
        name = f"step_{at.step + 1}" + ("" if part is None else f"_{self.name.replace(' ', '_')}_{part + 1}")
        facts = {"rollout_step": at.step + 1, "part": part if part is None else part + 1, "of": self.name}
        try:
            file = save_batch(self.run_path / FOLDER, name, batch, facts | _plain(error))
        except (RunError, OSError) as trouble:
            return f"The batch could not be saved ({trouble}). "
        return f"The batch is in {file}, and what it is in the .json beside it. "


def save_batch(folder: Path, name: str, batch: Batch, facts: Mapping[str, Any]) -> Path:
    """Write `<name>.safetensors` and `<name>.json`, each as a whole, and drop the oldest; at most 4 stay.

    Args:
        folder: made where it is not there.
        name: of the files, without a suffix.
        batch: cut to 16 MiB, rows that hold NaN or an infinity first.
        facts: plain values for the JSON file.

    Returns:
        The file of tensors.

    Raises:
        RunError: the disk refuses.
    """
    from safetensors.torch import save

    folder.mkdir(exist_ok=True)
    kept = _most_telling_rows(batch)
    tensors = {key: value.detach().cpu()[kept].contiguous() for key, value in batch.tensors.items()}
    file = folder / f"{name}.safetensors"
    write_bytes(file, save(tensors))
    ids = [batch.question_ids[row] for row in kept.tolist()] if batch.question_ids else []
    shapes = {key: list(value.shape) for key, value in tensors.items()}
    whole = {"rows": batch.rows, "rows_saved": kept.tolist(), "question_ids": ids, "tensors": shapes}
    write_json(file.with_suffix(".json"), {**facts, **whole})
    _drop_oldest(folder, file)
    return file


def _most_telling_rows(batch: Batch) -> Tensor:
    """Indices of the rows that fit, in their order."""
    broken_B = torch.zeros(batch.rows, dtype=torch.bool)
    row_bytes = 0
    for values in batch.tensors.values():
        broken_B |= ~values.detach().cpu().isfinite().reshape(batch.rows, -1).all(dim=1)
        row_bytes += values[:1].nbytes
    room = max(1, _MOST_BYTES // max(1, row_bytes))
    return (~broken_B).long().argsort(stable=True)[:room].sort().values


def _drop_oldest(folder: Path, newest: Path) -> None:
    """By the clock, which may have been set back since: what was written just now stays in any case."""
    others = [file for file in folder.glob("step_*.safetensors") if file != newest]
    for old in sorted(others, key=lambda file: file.stat().st_mtime_ns)[: 1 - _KEPT]:
        old.unlink()
        old.with_suffix(".json").unlink(missing_ok=True)


def _plain(error: NonFiniteError) -> dict[str, Any]:
    """What is known, as JSON can say it."""
    values = {
        name: str(value) if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in error.values.items()
    }
    return {"quantity": error.quantity, **json.loads(json.dumps(values))}
