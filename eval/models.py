"""Which model is evaluated: a folder, a name on the hub, or a run of the store; and what its samples are called."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from prefix_rft.errors import DataError, RunError, SettingsError
from prefix_rft.runs.checkpoint import verify
from prefix_rft.runs.content import folder_digest
from prefix_rft.runs.markers import TRAIN
from prefix_rft.runs.store import RunDir, Store
from prefix_rft.settings import PretrainedModel

RUN_PREFIX = "run:"
_RUN_ID = re.compile(r"[0-9a-f]{4,12}")


@dataclass(frozen=True)
class Model:
    """A model to evaluate."""

    name: str
    """Short, for folders and tables."""
    source: Path | str
    """Folder in the Hugging Face layout, or name on the hub."""
    subject: str
    """Tells its samples from those of any other weights."""
    template: Literal["tokenizer", "plain"] = "tokenizer"
    """How a run's own model renders prompts."""
    revision: str | None = None
    trust_remote_code: bool = False


def served_model(asked: str, *, revision: str | None = None, trust_remote_code: bool = False) -> Model:
    """A model of which nothing is here but the name that a server knows it by.

    Raises:
        SettingsError: a revision, or trust in the model's code, which are the server's to choose.
    """
    _must_not_say("served", asked, revision, trust_remote_code)
    return Model(asked.replace("/", "--"), asked, f"served model {asked}")


def find_model(
    asked: str, store: Path, *, revision: str | None = None, trust_remote_code: bool = False
) -> Model:
    """The model that the user means: an existing folder first, then `run:<id>` or a run's id, then the hub.

    Args:
        asked: a folder, `run:<id>` (or the beginning of an id of a run in `store`), or owner/name on the hub.
        store: the folder of runs.
        revision: commit, tag or branch on the hub.
        trust_remote_code: run code that the model's repository ships.

    Raises:
        DataError: there is no such folder.
        SettingsError: a revision of what is not on the hub, or trust in the code of a run, whose settings say it.
        RunError: no run, or several, have that id; or the run is not trained.
        CheckpointError: the run's checkpoint is damaged.
    """
    if asked.startswith(RUN_PREFIX) or (_RUN_ID.fullmatch(asked) and not Path(asked).is_dir()):
        _must_not_say("a run", asked, revision, trust_remote_code)
        return _of_run(Store(store).find(asked.removeprefix(RUN_PREFIX)))
    if Path(asked).is_dir():
        _must_not_say("a folder", asked, revision)
        return _of_folder(Path(asked), trust_remote_code)
    commit = folder_digest(asked).removeprefix("hub:")
    at = f" at {revision}" if revision else ""
    return Model(
        commit.replace("/", "--"), asked, f"hub model {commit}{at}", "tokenizer", revision, trust_remote_code
    )


def _must_not_say(kind: str, asked: str, revision: str | None, trust_remote_code: bool = False) -> None:
    """Refuse settings that would be ignored."""
    given = [f"revision={revision}"] * (revision is not None) + ["trust_remote_code=true"] * trust_remote_code
    if given:
        raise SettingsError(f"model={asked} is {kind}, for which {given[0]} says nothing; leave it out")


def _of_folder(folder: Path, trust_remote_code: bool) -> Model:
    if not (folder / "config.json").is_file():
        raise DataError(
            f"{folder} holds no config.json: it is no model in the Hugging Face layout. A run is named "
            f"{RUN_PREFIX}<id>; its models are in checkpoints/step_<n>."
        )
    name = folder.resolve().name
    return Model(
        name, folder, f"model {folder_digest(str(folder))[:16]}", trust_remote_code=trust_remote_code
    )


def _of_run(run: RunDir) -> Model:
    if not run.stages.is_done(TRAIN):
        raise RunError(f"run {run.id}: {run.stages.why_not_done(TRAIN)}")
    newest = run.stages.trained()
    assert newest is not None
    verify(newest)
    model = run.config().model
    template = model.template if isinstance(model, PretrainedModel) else "tokenizer"
    trusted = isinstance(model, PretrainedModel) and model.trust_remote_code
    subject = f"run {run.id} {newest.path.name}"
    return Model(run.id, newest.path, subject, template, trust_remote_code=trusted)
