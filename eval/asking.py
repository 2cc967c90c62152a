"""From names and limits to what is asked: the problems, the protocol for the model's family, the model's encoder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from eval.benchmarks.load import Loaded, load
from eval.benchmarks.schema import Benchmark
from eval.protocols.catalogue import find
from eval.protocols.schema import EvaluationProtocol, family_of
from eval.suite import Asked
from prefix_rft.data import load_encoder
from prefix_rft.errors import DataError
from prefix_rft.models.files import CONFIG, model_folder, read_json

if TYPE_CHECKING:
    from eval.models import Model
    from prefix_rft.data.encode import Encoder


def ask(
    benchmark: Benchmark,
    protocol: EvaluationProtocol,
    folder: Path | None,
    *,
    allow_changed: bool = False,
    problems: int | None = None,
    samples: int | None = None,
    max_tokens: int | None = None,
    seed: int | None = None,
    family: str | None = None,
) -> Asked:
    """A benchmark under a protocol, with what the user wants otherwise; None leaves the protocol's own value.

    Args:
        benchmark: which.
        protocol: as it asks the model's family.
        folder: of benchmark files; None reads the hub.
        allow_changed: accept content that is not the benchmark's.
        problems: use only the first.
        samples: a problem.
        max_tokens: longest response.
        seed: of the samples.
        family: of the model, for the record.

    Raises:
        DataError: the benchmark cannot be had, or its content is another and that is not allowed.
    """
    loaded = load(benchmark, folder, allow_changed=allow_changed)
    return Asked(
        _first(loaded, problems),
        protocol,
        samples=samples or protocol.samples_of(benchmark),
        max_tokens=max_tokens or protocol.max_tokens,
        seed=protocol.seed if seed is None else seed,
        family=family,
    )


def protocol_for(name: str, model: Model, family: str | None = None) -> tuple[EvaluationProtocol, str | None]:
    """The protocol as it asks this model, and the model's family.

    Args:
        name: of the protocol.
        model: asked; its config.json says the family where `family` does not.
        family: overrides what config.json says.

    Raises:
        SettingsError: no such protocol or family.
        DataError: the model has no config.json that can be read.
    """
    found = family or family_of(str(_config(model).get("model_type", "")))
    return find(name, found), found


def encoder_for(protocol: EvaluationProtocol, model: Model) -> Encoder:
    """The model's tokenizer, rendering as the protocol does.

    Raises:
        DataError: it cannot be had, or has no chat template where the protocol asks through one.
    """
    try:
        return load_encoder(model.source, protocol.rendering, model.revision, model.trust_remote_code)
    except DataError as error:
        if protocol.rendering == "plain":
            raise
        raise DataError(
            f"{error}\nProtocol {protocol.name} asks through the chat template; protocol=plain needs none."
        ) from error


def _first(loaded: Loaded, problems: int | None) -> Loaded:
    return loaded if problems is None else replace(loaded, problems=loaded.problems[:problems])


def _config(model: Model) -> dict[str, object]:
    return read_json(model_folder(str(model.source), model.revision, [CONFIG]) / CONFIG)
