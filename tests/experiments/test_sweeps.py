"""Sweep files: what they must say, and what they become for Hydra."""

from __future__ import annotations

import pytest

from experiments import sweeps
from experiments.compose import compose_all
from experiments.grid import axes, combinations
from experiments.overrides import for_hydra
from prefix_rft.errors import SettingsError

GOOD = "title: T\nreproduces: Table 1\ncompare: method\nvary: {method: [sft, rft], seed: [0, 1]}\n"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_text(GOOD)
    return path


@pytest.mark.parametrize("name", sweeps.names())
def test_every_sweep_names_its_source_and_composes(name):
    sweep = sweeps.load(name)
    assert "arXiv" in sweep.reproduces
    cells = combinations(axes(for_hydra(sweep.overrides())))
    assert len(compose_all(cells)) == len(cells) > 1


def test_overrides_are_those_of_a_command_line(file):
    file.write_text(GOOD + "fixed: {data.fraction: 0.1, tracking.entity: null, method.clip_prefix: true}\n")
    assert sweeps.read(file).overrides() == [
        "data.fraction=0.1",
        "tracking.entity=null",
        "method.clip_prefix=true",
        "method=sft,rft",
        "seed=0,1",
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("title: [", "not valid YAML"),
        ("- a", "a sweep is a mapping with the keys title, reproduces, compare, vary, fixed, cost"),
        (GOOD + "sedes: [0]\n", "sedes: there is no such setting"),
        (GOOD.replace("title: T\n", ""), "title: Field required"),
        (
            GOOD.replace("compare: method", "compare: model"),
            "compare='model' is not among the varied: method, seed",
        ),
        (GOOD.replace("[0, 1]", "0"), "vary.seed: Input should be a valid list"),
    ],
)
def test_a_malformed_file_is_refused_with_its_name_and_the_reason(file, text, reason):
    file.write_text(text)
    with pytest.raises(SettingsError) as refused:
        sweeps.read(file)
    assert str(file) in str(refused.value)
    assert reason in str(refused.value)


def test_of_two_values_for_a_key_the_later_one_holds_in_the_place_of_the_first():
    given = ["method=sft,rft", "++seed=0,1,2", "seed=5", "+a=1"]
    assert axes(given) == {"method": ["method=sft", "method=rft"], "seed": ["seed=5"], "a": ["+a=1"]}


def test_the_last_axis_moves_fastest():
    assert combinations({"a": ["a=1", "a=2"], "b": ["b=1", "b=2"]}) == [
        ["a=1", "b=1"],
        ["a=1", "b=2"],
        ["a=2", "b=1"],
        ["a=2", "b=2"],
    ]
