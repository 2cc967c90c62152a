"""The table of methods and the settings agree."""

from __future__ import annotations

from typing import get_args

import pytest

from prefix_rft.errors import SettingsError
from prefix_rft.methods import METHODS, make_method
from prefix_rft.settings.method import MethodSettings, RftMethod

UNION = get_args(get_args(MethodSettings)[0])


def test_every_method_that_can_be_set_can_be_made() -> None:
    assert {kind.model_fields["name"].default for kind in UNION} == set(METHODS)
    for kind in UNION:
        settings = kind()
        method = make_method(settings, max_response_tokens=32)
        assert type(method) is METHODS[settings.name]
        assert method.settings is settings
        assert method.max_response_tokens == 32


def test_an_unknown_method_is_refused_with_the_nearest_name() -> None:
    misspelt = RftMethod.model_construct(name="prefix_rfd")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="Did you mean 'prefix_rft'"):
        make_method(misspelt, max_response_tokens=32)
