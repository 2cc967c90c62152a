from __future__ import annotations

import pytest
from pydantic import ValidationError

from prefix_rft.settings.grading import GradingSettings


def test_settings_made_before_think_and_scientific_are_written_as_they_were() -> None:
    """Their names are part of what names a run: a default that is written would rename every run."""
    assert GradingSettings().model_dump(mode="json") == {
        "extract": ["last_boxed"],
        "marker": "####",
        "verifier": "math_verify",
        "timeout_seconds": 5.0,
        "memory_mb": 2048,
        "workers": 1,
    }


def test_what_departs_from_the_default_is_written_and_read_again() -> None:
    settings = GradingSettings(think="required", scientific=True)
    written = settings.model_dump(mode="json")
    assert (written["think"], written["scientific"]) == ("required", True)
    assert GradingSettings.model_validate(written) == settings
    assert "think" not in GradingSettings(scientific=True).model_dump(exclude={"workers"})


def test_an_exact_comparison_reads_no_numbers() -> None:
    with pytest.raises(ValidationError, match="verifier=exact does not"):
        GradingSettings(verifier="exact", scientific=True)
