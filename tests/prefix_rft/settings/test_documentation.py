"""Every setting says what it means, under itself and in the reference page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from experiments.commands.settings_reference import PAGE, reference
from prefix_rft.settings import RunConfig
from prefix_rft.settings.base import Settings
from prefix_rft.settings.explain import models_in, tag


def classes(kind: type[BaseModel] = RunConfig) -> Iterator[type[BaseModel]]:
    """Every class of settings that a run's configuration can hold."""
    yield kind
    for field in kind.model_fields.values():
        for nested in models_in(field.annotation):
            yield from classes(nested)


CLASSES = sorted(set(classes()), key=lambda kind: kind.__name__)
FIELDS = [(kind, name) for kind in CLASSES for name in kind.model_fields]


@pytest.mark.parametrize(("kind", "name"), FIELDS, ids=[f"{kind.__name__}.{name}" for kind, name in FIELDS])
def test_every_field_says_what_it_means(kind, name):
    chooses_the_kind = name == (tag(kind) or ("",))[0]
    text = kind.model_fields[name].description or ""
    assert chooses_the_kind or text.endswith((".", ")")), text


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_class_says_what_it_is_and_is_frozen_and_strict_about_names(kind):
    assert issubclass(kind, Settings)
    assert kind.__doc__
    assert kind.__doc__ != Settings.__doc__
    assert (kind.model_config["frozen"], kind.model_config["extra"]) == (True, "forbid")


def test_the_reference_page_is_up_to_date():
    """Write it anew with `python -m experiments.commands.settings_reference`."""
    assert PAGE.read_text(encoding="utf-8") == reference()


def test_the_reference_gives_range_default_and_meaning():
    page = reference()
    for line in (
        "| `seed` | whole number, ≥ 0 | `0` | Training seed: data order, prefix draws, sampling. |",
        "| `method.baseline` | `reference`, `reference_v2`, `group` | `reference` | How the hybrid's",
        "| `method.schedule` | one of the kinds below | `kind=cosine` |",
        "| `launcher.workers` | whole number or `null`, ≥ 1 | `null` | Runs at a time; null takes one a core. |",
        "| `data.path` | text | required | Training file. |",
        "| `data.grading.verifier` | `math_verify`, `exact` | `exact` |",
        "| `evaluation.pass_at` | list of whole number | `[1, 8]` | The k of pass@k. |",
        "### `method.schedule.kind=uniform`",
    ):
        assert line in page, line
