"""Which part of a label is the base model, and which is what is compared."""

from __future__ import annotations

import pytest

from analysis.results import load_results
from analysis.rows import places


def configs(build, of: dict[str, dict]):
    return {label: build.config("sft", 0, model={"kind": "tiny"} | model) for label, model in of.items()}


def test_a_variant_stands_on_every_base_model(build):
    rows = {
        "top 20%, base_seed=0": {"base_seed": 0},
        "top 20%, base_seed=2": {"base_seed": 2},
        "all, base_seed=0": {"base_seed": 0},
        "all, base_seed=2": {"base_seed": 2},
    }
    found = places(dict.fromkeys(rows, "prefix_rft"), configs(build, rows))
    assert found["top 20%, base_seed=2"] == ("top 20%", "base_seed=2")
    assert found["all, base_seed=0"] == ("all", "base_seed=0")


def test_a_base_model_may_be_named_by_the_first_part(build):
    llama = {"architecture": {"family": "llama"}}
    rows = {
        "Qwen2 architecture, RFT": {},
        "Qwen2 architecture, group, 2 hybrids": {},
        "Llama architecture, RFT": llama,
        "Llama architecture, group, 2 hybrids": llama,
    }
    found = places(dict.fromkeys(rows, "rft"), configs(build, rows))
    assert found["Llama architecture, RFT"] == ("RFT", "Llama architecture")
    assert found["Qwen2 architecture, group, 2 hybrids"] == ("group, 2 hybrids", "Qwen2 architecture")


@pytest.mark.parametrize(
    "rows",
    [
        {"top 20%": {}, "all": {}},
        {"SFT, epochs=1": {}, "SFT, epochs=3": {}},
        {"small": {"base_seed": 1}, "large": {"base_seed": 2}},
        {"a, base_seed=1": {"base_seed": 1}, "b, base_seed=2": {"base_seed": 2}},
    ],
)
def test_rows_that_repeat_nothing_are_variants_of_their_own(build, rows):
    assert places(dict.fromkeys(rows, "sft"), configs(build, rows)) == {label: (label, "") for label in rows}


def test_a_row_without_runs_takes_the_base_model_that_its_label_names(build):
    rows = {"a, base_seed=1": {"base_seed": 1}, "a, base_seed=2": {"base_seed": 2}}
    methods = dict.fromkeys([*rows, "b, base_seed=2"], "sft")
    assert places(methods, configs(build, rows))["b, base_seed=2"] == ("b", "base_seed=2")


def test_the_base_models_own_rows_stand_on_themselves(build, make_verdicts):
    cells = build.on_bases({"RFT": ("rft", (0.5, 0.6)), "SFT": ("sft", (0.5, 0.6))}, seeds=1)
    bases = [
        build.done("base", 0, make_verdicts(0.1), model={"kind": "tiny", "base_seed": base})
        for base in (0, 2)
    ]
    labelled = [
        type(cell)(cell.run_id, "base", None, f"Base base_seed={base} other=3")
        for cell, base in zip(bases, (0, 2), strict=True)
    ]
    results = load_results(build.store, [*labelled, *cells])
    assert results.variants == ("Base", "RFT", "SFT")
    assert results.members("Base") == {
        "base_seed=0": "Base base_seed=0 other=3",
        "base_seed=2": "Base base_seed=2 other=3",
    }
