"""`key=value` words become nested settings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.commands.key_values import nested
from prefix_rft.errors import SettingsError

KEYS = st.lists(st.from_regex(r"[a-z_][a-z0-9_]{0,6}", fullmatch=True), min_size=1, max_size=4).map(".".join)


def test_values_are_read_as_yaml_reads_them() -> None:
    words = ["samples=4", "seed=null", "name=a b", "path=/x=y", "flag=true", "names=[a, b]", "empty="]
    assert nested(words) == {
        "samples": 4, "seed": None, "name": "a b", "path": "/x=y", "flag": True, "names": ["a", "b"], "empty": "",
    }  # fmt: skip


def test_a_group_by_its_kind_alone_keeps_its_other_settings() -> None:
    words = ["sampler=vllm", "sampler.batch=8", "sampler.more.deep=1"]
    assert nested(words, {"sampler": "kind"}) == {
        "sampler": {"kind": "vllm", "batch": 8, "more": {"deep": 1}}
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["samples"], "'samples' is not a setting"),
        (["=4"], "'=4' is not a setting"),
        (["a..b=1"], "'a..b=1' is not a setting"),
        (["--samples=4"], "is not a setting"),
        (["a=1", "a=2"], "a is given twice"),
        (["a=1", "a.b=2"], "a is given as a value and as a group"),
        (["a.b=2", "a=1"], "a is given twice"),
        (["a=[1"], "the value cannot be read"),
    ],
)
def test_what_is_no_setting_is_named(words: list[str], said: str) -> None:
    with pytest.raises(SettingsError, match=r".*") as refused:
        nested(words)
    assert said in str(refused.value)


@given(st.dictionaries(KEYS, st.integers(), max_size=6))
def test_every_key_is_found_where_its_dots_say(wanted: dict[str, int]) -> None:
    words = [f"{key}={value}" for key, value in wanted.items()]
    clash = any(other.startswith(f"{key}.") for key in wanted for other in wanted)
    if clash:
        with pytest.raises(SettingsError):
            nested(words)
        return
    values = nested(words)
    for key, value in wanted.items():
        found: object = values
        for part in key.split("."):
            assert isinstance(found, dict)
            found = found[part]
        assert found == value
