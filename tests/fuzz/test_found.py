"""What fuzzing has found, each with the smallest input that showed it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from experiments.commands.key_values import nested
from experiments.compose import compose
from experiments.sweeps import overrides
from experiments.sweeps import read as read_sweep
from prefix_rft import plain_yaml
from prefix_rft.errors import RunError, SettingsError
from prefix_rft.grading.conclusion import conclusion
from prefix_rft.grading.notation import plain
from prefix_rft.grading.scientific import number, written_out
from prefix_rft.grading.verify import _PERCENT
from prefix_rft.runs.atomic import read_json
from prefix_rft.runs.jsonl import read_records
from prefix_rft.runs.markers import StageMarkers
from prefix_rft.runs.metrics import MetricsWriter
from prefix_rft.runs.state import recorded_state
from prefix_rft.runs.store import RunDir

DEEP = "[" * 100_000
YAML_OF_OTHER_ERRORS = [
    "2020-13-45",
    "!!bool x",
    "!!int ''",
    "!!timestamp x",
    "9" * 5_000,
    "2001-01-01 00:00:00+99:99",
]


def seconds_of(work: Any) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def test_a_long_word_after_a_number_is_cut_in_one_way() -> None:
    """A regular expression tried every way to cut it in three: 1,000 letters took 12 s, and the limit is 4,000."""
    assert seconds_of(lambda: conclusion(f"so it is 1 {'a' * 3_900}-")) < 1
    assert conclusion("so it is 12 square metres") == "12"
    assert conclusion("so it is 12 of all the square metres") is not None


def test_a_million_groups_of_digits_are_looked_at_once() -> None:
    """Each group was the start of another search to the end: 16,000 of them took 30 s."""
    long = "1" + ",111" * 16_000
    assert seconds_of(lambda: written_out(long)) < 3
    assert written_out(long) == long
    assert number(long) is None
    assert number("1" + ",111" * 132) == int("1" + "111" * 132)


@pytest.mark.parametrize("gap", [" ", "\n\r", "\t\u200b"])
def test_space_after_a_number_is_looked_at_once(gap: str) -> None:
    """Two searches for space in a row tried every way to share it: 12,000 characters took 5 s."""
    answer = "1" + gap * 12_000 + "-"
    assert seconds_of(lambda: plain(answer)) < 1
    assert seconds_of(lambda: _PERCENT.fullmatch(answer)) < 0.3


def test_an_exponent_may_hold_any_space() -> None:
    assert number("3\\times10^{-\t5}") == number("3e-5")


@pytest.mark.parametrize("value", [*YAML_OF_OTHER_ERRORS, "[" * 5_000, "&a [*a]"])
def test_a_value_that_yaml_stumbles_over_is_refused(value: str) -> None:
    with pytest.raises(SettingsError, match="the value cannot be read"):
        nested([f"key={value}"])


@pytest.mark.parametrize("nest", ["[", "- ", "{a: ", "? "])
@pytest.mark.parametrize("levels", [100, 5_000, 60_000])
def test_deep_nesting_does_not_end_the_process(nest: str, levels: int) -> None:
    """From about 40,000 levels on, the C parser overflowed the stack."""
    with pytest.raises(ValueError):  # noqa: PT011
        plain_yaml.load(nest * levels)


def test_aliases_cannot_stand_for_billions_of_values() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 10)]
    with pytest.raises(ValueError, match="holds more than"):
        plain_yaml.load("\n".join(lines))


@pytest.mark.parametrize("word", ["model=null", "=1", f"seed={'9' * 5_000}", f"data.path={'9' * 5_000}"])
def test_an_override_that_hydra_stumbles_over_is_refused(word: str) -> None:
    with pytest.raises(SettingsError):
        compose([word])


@pytest.mark.parametrize(
    "content", [DEEP, *(f"a: {value}" for value in YAML_OF_OTHER_ERRORS), "\udcff", "- " * 60_000]
)
def test_a_sweep_or_a_configuration_of_any_content_is_refused(tmp_path: Path, content: str) -> None:
    for name in ("sweep.yaml", "config.yaml"):
        (tmp_path / name).write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(SettingsError, match=r"sweep\.yaml"):
        read_sweep(tmp_path / "sweep.yaml")
    with pytest.raises(RunError, match=r"config\.yaml"):
        RunDir(tmp_path).config()


texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
words = st.sampled_from(
    ["12", "true", "null", "1e5", "nan", "\u00e9", "a\\b", "\\", "\\'", "a\\\\'b", "${seed}", "a b"]
)


@given(
    value=st.lists(texts | words, max_size=3).map("".join)
    | st.integers()
    | st.floats(allow_nan=False)
    | st.booleans()
)
def test_a_sweeps_value_is_what_hydra_reads_of_it(value: Any) -> None:
    """Texts that look like numbers became numbers, and every backslash became two."""
    (written,) = overrides({"key": value})
    (read,) = OverridesParser.create().parse_overrides([written])
    assert not read.is_sweep_override()
    assert (read.value(), type(read.value())) == (value, type(value))


def test_json_that_nests_without_end_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text(DEEP + "\n")
    for reader in (read_json, read_records, lambda file: recorded_state(file.parent)):
        with pytest.raises(RunError, match=r"state\.json"):
            reader(path)


STATES = [
    '{"error": null, "attempt": "x"}',
    '{"error": null, "step": "1"}',
    '{"error": {"type": 1, "message": 2}}',
]


@pytest.mark.parametrize("content", STATES)
def test_a_state_of_other_types_is_damage(tmp_path: Path, content: str) -> None:
    (tmp_path / "state.json").write_text(content)
    with pytest.raises(RunError, match=r"is not a run's state: (attempt|step|error)="):
        recorded_state(tmp_path)


@pytest.mark.parametrize("content", ["[]", "1", "{}", '{"step": "x"}', '{"step": 1e999}'])
def test_a_marker_of_another_shape_marks_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "markers").mkdir()
    (tmp_path / "markers" / "train.json").write_text(content)
    reason = StageMarkers(tmp_path).why_not_done("train")
    assert reason is not None
    assert "is not the marker of a stage" in reason


def test_an_identity_without_its_parts_is_damage(tmp_path: Path) -> None:
    (tmp_path / "identity.json").write_text('{"format": 1}')
    with pytest.raises(RunError, match="lacks kind, counts or id"):
        RunDir(tmp_path).identity()


def test_a_metrics_row_of_an_infinite_step_is_damage(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 1e999, "kind": "train"}\n')
    with pytest.raises(RunError, match="without a step and a kind"):
        MetricsWriter(tmp_path).has(1, "train")
