"""Cluster profiles: what one site wants in a job, typed; nothing site-specific stands anywhere else."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from slurm.errors import ProfileError

FOLDER = Path(__file__).parent / "clusters"
_YAML_SLIPS = (ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""What PyYAML raises besides errors of its own, e.g. of `2020-13-45` and `!!bool x`."""
_Word = Annotated[str, StringConstraints(pattern=r"^[^\s\x00]+$")]
"""Goes into a line of #SBATCH: no blanks, no line breaks."""

_FIELDS = {
    **{name: name for name in ("partition", "account", "qos", "constraint", "gres", "nodes")},
    "cpus-per-task": "cpus",
    "mem": "memory_gb",
    "time": "minutes",
}
"""Options of sbatch that have a key of their own here."""
_OURS = frozenset(
    "array chdir comment dependency error job-name kill-on-invalid-dep no-requeue ntasks ntasks-per-node open-mode "
    "output parsable requeue signal test-only wait wrap".split()
)
"""A script's later line would take the place of ours: with another comment no job would be known for ours."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Resources(_Strict):
    """What one job asks for; null leaves it to the cluster's own default."""

    partition: _Word | None = None
    """Partition, or several separated by commas."""
    account: _Word | None = None
    """Account that pays."""
    qos: _Word | None = None
    """Quality of service."""
    constraint: _Word | None = None
    """Features that the node must have."""
    gres: _Word | None = None
    """Generic resources of each node, e.g. gpu:h100:4."""
    nodes: int = Field(1, ge=1)
    """Nodes of one job; with several, Ray is started across them and the stage finds it by RAY_ADDRESS."""
    cpus: int = Field(1, ge=1)
    """Cores of each node."""
    memory_gb: float | None = Field(None, gt=0)
    """Memory of each node."""
    minutes: int = Field(60, ge=1)
    """Time limit of one attempt; what is not ready then is requeued and goes on from its checkpoint."""
    options: dict[_Word, _Word] = Field(default_factory=dict)
    """Other options of sbatch by their long names without dashes: exclude, reservation, mail-type."""

    @field_validator("options")
    @classmethod
    def _leaves_ours_alone(cls, options: dict[str, str]) -> dict[str, str]:
        for name in options:
            if name in _FIELDS:
                raise ValueError(f"{name}: say {_FIELDS[name]}, outside of options")
            if name in _OURS:
                raise ValueError(f"{name} is set by the submission itself, which finds its jobs by it")
        return options


class StageResources(Resources):
    """What jobs of one stage ask for otherwise; only what is named here differs."""


class Profile(_Strict):
    """One cluster."""

    resources: Resources = Resources()
    """Of every job."""
    stages: dict[str, StageResources] = Field(default_factory=dict)
    """By stage (train, evaluate, aggregate), where it differs."""
    setup: tuple[str, ...] = ()
    """Lines of bash before the job's program starts: module load, export, source. No secrets: they are on disk."""
    container: str = ""
    """Words of bash in front of the program, e.g. apptainer exec --nv image.sif."""
    python: str | None = None
    """Python of the nodes; null takes the one that submits, which then must lie on a shared file system."""
    at_a_time: int = Field(64, ge=1)
    """Most jobs of one array that run together."""
    max_array_size: int | None = Field(None, ge=1)
    """Most jobs in one array; null asks the cluster (MaxArraySize)."""
    max_submitted: int | None = Field(None, ge=1)
    """Most of your jobs in the queue; null asks the cluster, where it keeps accounts."""
    warn_seconds: int = Field(120, ge=1)
    """Before the time limit a job is told to save; it then requeues itself."""
    max_requeues: int = Field(50, ge=0)
    """A job that was requeued this often fails instead: something is wrong."""

    def of(self, stage: str) -> Resources:
        """What a job of this stage asks for."""
        differing = self.stages.get(stage)
        if differing is None:
            return self.resources
        return self.resources.model_copy(
            update={name: getattr(differing, name) for name in differing.model_fields_set}
        )


def names(folder: Path = FOLDER) -> list[str]:
    """Names of the profiles that are there."""
    return sorted(file.stem for file in folder.glob("*.yaml"))


def load(name: str, folder: Path = FOLDER) -> Profile:
    """The profile of that name, or of a file given by its path (it ends in .yaml).

    Raises:
        ProfileError: there is none, or it is malformed.
    """
    file = Path(name) if name.endswith(".yaml") else folder / f"{name}.yaml"
    if not file.is_file() or (not name.endswith(".yaml") and name not in names(folder)):
        raise ProfileError(_unknown(name, folder))
    return read(file)


def read(file: Path) -> Profile:
    """A profile from its file.

    Raises:
        ProfileError: it is malformed; names the keys.
    """
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except (OSError, yaml.YAMLError, *_YAML_SLIPS) as error:
        raise ProfileError(f"{file}: {error}") from None
    if not isinstance(values, dict):
        raise ProfileError(f"{file}: a profile is a mapping with the keys {', '.join(Profile.model_fields)}")
    try:
        return Profile.model_validate(values)
    except ValidationError as error:
        lines = [f"{_dotted(item['loc'])}: {_reason(dict(item))}" for item in error.errors()]
        raise ProfileError(f"{file} is refused:\n  " + "\n  ".join(lines)) from None


def _unknown(name: str, folder: Path) -> str:
    if name.endswith(".yaml"):
        return f"there is no cluster profile {name}"
    near = difflib.get_close_matches(name, names(folder), n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return (
        f"no cluster profile {name!r}.{hint} Known: {', '.join(names(folder))}. Copy slurm/clusters/example.yaml to "
        "add one, or give the path of a .yaml file."
    )


def _dotted(place: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in place if part != "[key]")


def _reason(item: dict[str, Any]) -> str:
    if item["type"] == "extra_forbidden":
        kinds: dict[int, type[BaseModel]] = {1: Profile}
        known = kinds.get(len(item["loc"]), Resources).model_fields
        return f"unknown. Known: {', '.join(known)}"
    if item["type"] == "string_pattern_mismatch":
        return f"{item['input']!r} holds blanks or line breaks"
    return str(item["msg"])
