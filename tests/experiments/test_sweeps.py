"""Sweep files: what they must say, and the cells that they and a command line make."""

from __future__ import annotations

import pytest

from experiments import sweeps
from experiments.compose import compose_all
from experiments.grid import axes, combinations, expand
from experiments.sweeps import Sweep, overrides, varied_overrides
from prefix_rft.errors import SettingsError

GOOD = "title: T\nreproduces: Table 1\ncompare: method\nvary: {method: [sft, rft], seed: [0, 1]}\n"
VARIANTS = GOOD.replace("compare: method", "compare: variants").replace(
    "vary: {method: [sft, rft], seed: [0, 1]}",
    "variants: {one: {method: rft}, two: {method: prefix_rft, method.clipping.keep: 0.5}}\nvary: {seed: [0, 1]}",
)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_text(GOOD)
    return path


def sweep(**values) -> Sweep:
    return Sweep(**{"title": "T", "reproduces": "a table", "compare": "seed", **values})


def cells(sweep: Sweep, *given: str) -> list[tuple[str | None, str]]:
    return [
        (cell.variant, " ".join(part.lstrip("+") for part in cell.overrides))
        for cell in expand(sweep, given).cells
    ]


@pytest.mark.parametrize("scale", ["its own", "paper"])
@pytest.mark.parametrize("name", sweeps.names())
def test_every_sweep_names_its_source_and_composes_at_toy_and_paper_scale(name, scale):
    """One seed stands for all: a seed makes no configuration invalid."""
    loaded = sweeps.load(name)
    assert "arXiv" in loaded.reproduces
    given = ["seed=0"] if scale == "its own" else ["seed=0", "scale=paper"]
    expanded = expand(loaded, given)
    configs = compose_all([cell.overrides for cell in expanded.cells])
    assert len(configs) == len(expanded.cells) > 1
    assert {config.scale for config in configs} == {loaded.scale if scale == "its own" else "paper"}
    assert {config.model.kind == "pretrained" for config in configs} == {scale == "paper"}
    assert len({config.model_dump_json() for config in configs}) == len(configs)


def test_values_are_those_of_a_command_line():
    assert overrides(
        {"a": 0.1, "b": None, "c": True, "d": [1, 2], "e": "open-r1/x", "f": "two words, 'quoted'"}
    ) == ["a=0.1", "b=null", "c=true", "d=[1,2]", "e=open-r1/x", "f='two words, \\'quoted\\''"]
    assert varied_overrides({"method": ["sft", "rft"], "x": [[1], [2]]}) == ["method=sft,rft", "x=[1],[2]"]


def test_a_quoted_value_comes_out_as_it_went_in():
    config = compose_all([overrides({"tracking.tags": ["a"], "tracking.entity": "two words, 'quoted'"})])[0]
    assert (config.tracking.tags, config.tracking.entity) == (("a",), "two words, 'quoted'")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("title: [", "not valid YAML"),
        (
            "- a",
            "a sweep is a mapping with the keys title, reproduces, compare, variants, vary, fixed, scales",
        ),
        (GOOD + "sedes: [0]\n", "sedes: there is no such setting"),
        (GOOD.replace("title: T\n", ""), "title: Field required"),
        (
            GOOD.replace("compare: method", "compare: model"),
            "compare='model' is not among the varied: method, seed",
        ),
        (GOOD.replace("compare: method", "compare: variants"), "compare='variants' is not among the varied"),
        (GOOD.replace("[0, 1]", "0"), "vary.seed: Input should be a valid list"),
        (GOOD.replace("[0, 1]", "[]"), "a varied setting needs at least one value"),
        ("title: T\nreproduces: R\ncompare: seed\n", "a sweep needs vary, variants or both"),
        (
            VARIANTS.replace("seed: [0, 1]", "method: [sft]"),
            "method is varied and also set by the variant 'one'",
        ),
        (GOOD + "cost: {papre: much}\n", "unknown scale 'papre'. Did you mean 'paper'?"),
        (GOOD + "scales: {papre: {fixed: {}}}\n", "unknown scale 'papre'"),
        (GOOD + "scales: {paper: {seed: 1}}\n", "scales.paper.seed: there is no such setting"),
        (GOOD + "scales: {paper: {vary: {seed: [0]}}}\n", "compare='method' is not among the varied: seed"),
        (GOOD.replace("seed: ", "scale: ") + "scales: {paper: {fixed: {}}}\n", "cannot vary it"),
    ],
)
def test_a_malformed_file_is_refused_with_its_name_and_the_reason(file, text, reason):
    file.write_text(text)
    with pytest.raises(SettingsError) as refused:
        sweeps.read(file)
    assert str(file) in str(refused.value)
    assert reason in str(refused.value)


def test_every_variant_is_crossed_with_what_varies(file):
    file.write_text(VARIANTS)
    assert cells(sweeps.read(file)) == [
        ("one", "method=rft seed=0"),
        ("one", "method=rft seed=1"),
        ("two", "method=prefix_rft method.clipping.keep=0.5 seed=0"),
        ("two", "method=prefix_rft method.clipping.keep=0.5 seed=1"),
    ]


def test_the_command_line_narrows_what_varies_replaces_what_is_fixed_and_adds_the_rest(file):
    file.write_text(VARIANTS + "fixed: {data.fraction: 0.1}\n")
    assert cells(sweeps.read(file), "seed=7", "data.fraction=0.5", "store=elsewhere") == [
        ("one", "data.fraction=0.5 method=rft seed=7 store=elsewhere"),
        ("two", "data.fraction=0.5 method=prefix_rft method.clipping.keep=0.5 seed=7 store=elsewhere"),
    ]


def test_a_variant_stands_above_what_is_fixed():
    rows = sweep(compare="variants", variants={"a": {}, "b": {"method": "rft"}}, fixed={"method": "sft"})
    assert cells(rows) == [("a", "method=sft"), ("b", "method=rft")]


@pytest.mark.parametrize(
    ("given", "rows"),
    [
        ("method=rft", "'one', 'two' set it"),
        ("method.clipping.keep=0.1", "'two' set it"),
        ("method.clipping={keep: 0.1}", "'two' set it"),
        ("++method.clipping.keep=0.1", "'two' set it"),
    ],
)
def test_what_a_variant_sets_cannot_be_given(file, given, rows):
    file.write_text(VARIANTS)
    with pytest.raises(SettingsError) as refused:
        expand(sweeps.read(file), [given])
    assert "is what tells the rows of this sweep apart and cannot be given" in str(refused.value)
    assert str(refused.value).endswith(rows)


def test_the_group_around_what_a_variant_sets_can_be_given():
    rows = sweep(compare="variants", variants={"a": {"method.clipping.keep": 0.1}}, fixed={"method": "rft"})
    assert cells(rows, "method=prefix_rft") == [("a", "method=prefix_rft method.clipping.keep=0.1")]


AT_SCALES = {
    "variants": {"a": {"model.base_seed": 0}},
    "compare": "variants",
    "fixed": {"scale": "toy_weak"},
    "scales": {"paper": {"variants": {"b": {"model": "llama-3.1-8b"}}, "vary": {"seed": [1]}}},
}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], ("a", "scale=toy_weak model.base_seed=0")),
        (["scale=toy"], ("a", "scale=toy model.base_seed=0")),
        (["scale=paper"], ("b", "scale=paper model=llama-3.1-8b seed=1")),
    ],
)
def test_a_scale_has_parts_of_its_own(given, expected):
    assert cells(sweep(**AT_SCALES), *given) == [expected]


def test_two_scales_at_a_time_are_refused_where_the_sweep_depends_on_it():
    with pytest.raises(SettingsError, match=r"scale=toy,paper: .* give one scale at a time"):
        expand(sweep(**AT_SCALES), ["scale=toy,paper"])
    assert len(expand(sweep(vary={"seed": [0]}), ["scale=toy,paper"]).cells) == 2


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
