"""Refuse at once, before anything is loaded, a model that the run could not use to its budgets."""

from __future__ import annotations

from pathlib import Path

from prefix_rft.errors import DataError, TrainingError
from prefix_rft.models.families import FAMILIES, Positions
from prefix_rft.models.files import CONFIG, model_folder, read_json
from prefix_rft.settings import PretrainedModel, RunConfig


def check_ready(config: RunConfig, source: Path | str) -> None:
    """Refuse a pretrained model that is still to be prepared, or whose context is too short.

    A response is never cut at the end of the context in silence: C, the divisor of Dr.GRPO, and the longest
    prefix count on `data.max_response_tokens`.

    Args:
        config: the run's settings.
        source: folder or hub name of the model that training starts from.

    Raises:
        DataError: there is no such folder, and `prefix-rft prepare-model` makes it; or it holds no model.
        TrainingError: the model reads fewer tokens than prompt and response may have.
    """
    model = config.model
    if not isinstance(model, PretrainedModel):
        return
    if str(source) == model.path:
        check_made(model)
    stated = read_json(model_folder(str(source), model.revision, [CONFIG]) / CONFIG)
    found = Positions.of(stated)
    need = config.data.max_prompt_tokens + config.data.max_response_tokens
    if found is not None and found.context < need:
        raise TrainingError(_too_short(config, str(source), stated.get("model_type"), found, need))


def check_made(model: PretrainedModel) -> None:
    """Refuse a model that is still to be prepared; one of that name on the hub would be somebody else's.

    Raises:
        DataError: there is no such folder, and `prefix-rft prepare-model` makes it.
    """
    if model.source in (None, model.path) or Path(model.path).is_dir():
        return
    raise DataError(
        f"there is no model folder {model.path}. Make it: `prefix-rft prepare-model {model.source} --out "
        f"{model.path}`; or name a prepared folder with model.path=..., or any other model with "
        "model=pretrained model.path=..."
    )


def _too_short(config: RunConfig, source: str, kind: object, found: Positions, need: int) -> str:
    """What is too short, and how to lengthen it where that is known."""
    data = config.data
    said = (
        f"the model {source} reads at most {found.context} tokens, but data.max_prompt_tokens="
        f"{data.max_prompt_tokens} and data.max_response_tokens={data.max_response_tokens} ask for {need}. "
    )
    longer = [
        family.extended for family in FAMILIES if (family.model_type, family.positions) == (kind, found)
    ]
    if longer and longer[0] is not None and longer[0].context >= need:
        return (
            f"{said}Extend it to {longer[0]}: `prefix-rft prepare-model {source} --out <folder>`, then "
            "model.path=<folder>"
        )
    return f"{said}Lower data.max_response_tokens, or take a model with a longer context"
