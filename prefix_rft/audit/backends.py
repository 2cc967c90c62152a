"""What the audit asks of a backend, and the backends that it knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from prefix_rft.errors import SettingsError, unknown

if TYPE_CHECKING:
    from torch import Tensor

    from prefix_rft.audit.cases import Case
    from prefix_rft.audit.faults import Fault
    from prefix_rft.local.scoring import Split

Gradient = dict[str, "Tensor"]
"""By parameter name of `transformers`, on the CPU; a parameter that is missing has none."""


@dataclass(frozen=True)
class Computed:
    """What a backend computed for one rollout step."""

    loss: float
    """Mean over the mini-batches."""
    gradients: list[Gradient]
    """Of each mini-batch, before clipping."""


class AuditBackend(Protocol):
    """A trainer's update, made observable; it starts from the same weights in every call."""

    device: str
    """Where it computes, in words."""
    skips_rows: bool
    """Whether it can leave out rows whose tokens all weigh zero."""
    offloads: bool
    """Whether keeping the optimizer on the CPU is anything else than not doing so."""

    def compute(
        self, case: Case, split: Split, *, skip: bool = False, fault: Fault | None = None
    ) -> Computed:
        """The loss and the gradients of one rollout step's mini-batches.

        Between two of them the weights move by an amount that depends on nothing else, so that ratios leave 1 and
        yet no deviation of one mini-batch reaches the next.

        Args:
            case: the method, its responses and its loss.
            split: how a mini-batch is cut into micro-batches.
            skip: leave out rows whose tokens all weigh zero, where the backend can.
            fault: multiplies the micro-batches' gradients; only for cases of one mini-batch.
        """

    def train(self, case: Case, split: Split, *, steps: int, offload: bool) -> Gradient:
        """How far each parameter is from its start after `steps` rollout steps with the real optimizer; on the CPU.

        Args:
            case: the method, the responses of every step, and its loss.
            split: how a mini-batch is cut into micro-batches.
            steps: rollout steps.
            offload: keep the optimizer's weights and moments on the CPU, apart from the model.
        """


@dataclass(frozen=True)
class _Entry:
    """A backend that may be installed."""

    needs: tuple[str, ...]
    """Modules without which it is not."""
    make: Callable[[Path], AuditBackend]
    """Makes it from a model folder in the Hugging Face layout."""


def _local(folder: Path) -> AuditBackend:
    from prefix_rft.audit.local import LocalAudit

    return LocalAudit(folder, fast_path="on")


def _local_general(folder: Path) -> AuditBackend:
    from prefix_rft.audit.local import LocalAudit

    return LocalAudit(folder, fast_path="off")


def _verl(folder: Path) -> AuditBackend:
    from prefix_rft.audit.verl import VerlAudit

    return VerlAudit(folder)


# To add a backend: implement `AuditBackend` in a file here and name it below with the modules it needs.
BACKENDS: dict[str, _Entry] = {
    "local": _Entry(("torch",), _local),
    "local_general": _Entry(("torch", "transformers"), _local_general),
    "verl": _Entry(("verl", "ray", "tensordict", "transfer_queue"), _verl),
}


def installed() -> list[str]:
    """Names of the backends whose modules are there."""
    return [name for name, entry in BACKENDS.items() if all(find_spec(module) for module in entry.needs)]


def make_backend(name: str, folder: Path) -> AuditBackend:
    """The backend of that name, with the model of a folder.

    Raises:
        SettingsError: it is unknown or not installed.
    """
    if name not in installed():
        raise SettingsError(unknown("backend of the audit", name, installed()))
    return BACKENDS[name].make(folder)
