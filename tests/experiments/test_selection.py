"""Which runs stand in a sweep's table, and under which names."""

from __future__ import annotations

import pytest

from experiments import selection, sweeps
from experiments.selection import label, select
from experiments.sweeps import Sweep
from prefix_rft.errors import SettingsError


@pytest.fixture
def with_sweep(monkeypatch):
    """A sweep that has no file."""

    def put(**values) -> None:
        sweep = Sweep(**{"title": "T", "reproduces": "a table", **values})
        monkeypatch.setattr(sweeps, "load", lambda name: sweep)

    return put


def rows(selected) -> list[tuple[str, int | None]]:
    return [(cell.label, cell.seed) for cell in selected.cells]


def test_the_main_sweep_has_the_base_and_every_method_and_seed_under_the_methods_names():
    selected = select("main_results")
    methods = ("SFT", "RFT", "SFT→RFT", "Prefix-RFT")
    assert rows(selected) == [("Base", None), *((name, seed) for name in methods for seed in (0, 1, 2))]
    assert {config.sweep for config in selected.configs} == {"main_results"}
    assert len({cell.run_id for cell in selected.cells}) == 13


def test_a_varied_setting_that_is_given_keeps_to_what_is_given():
    selected = select("main_results", ["seed=5", "method=sft,rft", "store=elsewhere"])
    assert rows(selected) == [("Base", None), ("SFT", 5), ("RFT", 5)]
    assert str(selected.store.root) == "elsewhere"


def test_the_cells_of_a_table_are_those_that_multirun_trains():
    overrides = ["seed=range(0,2)", "optimisation.rl.steps=9"]
    given = sweeps.load("main_results").overrides()
    assert given == ["method=sft,rft,sft_rft,prefix_rft", "seed=0,1,2"]
    assert [(c.method.name, c.seed) for c in select("main_results", overrides).configs] == [
        (method, seed) for method in ("sft", "rft", "sft_rft", "prefix_rft") for seed in (0, 1)
    ]


def test_rows_of_another_setting_carry_its_values(with_sweep):
    with_sweep(
        compare="method.schedule.kind",
        vary={"method.schedule.kind": ["cosine", "uniform"], "seed": [0, 1]},
        fixed={"method": "prefix_rft", "method.min_prefix_tokens": 2},
    )
    selected = select("schedule")
    kinds = [("cosine", 0), ("cosine", 1), ("uniform", 0), ("uniform", 1)]
    assert rows(selected) == [("Base", None), *kinds]
    assert {config.method.min_prefix_tokens for config in selected.configs} == {2}
    assert [config.method.schedule.kind for config in selected.configs] == [kind for kind, _ in kinds]


def test_rows_are_told_apart_by_every_setting_that_varies(with_sweep):
    with_sweep(compare="method", vary={"method": ["sft", "rft"], "data.fraction": [0.1, 1.0], "seed": [0]})
    assert rows(select("data")) == [
        ("Base", None),
        ("SFT, fraction=0.1", 0),
        ("SFT, fraction=1.0", 0),
        ("RFT, fraction=0.1", 0),
        ("RFT, fraction=1.0", 0),
    ]


def test_several_base_models_are_told_apart_by_their_settings(with_sweep):
    with_sweep(compare="model.base_seed", vary={"model.base_seed": [0, 1], "seed": [3]})
    assert rows(select("bases")) == [
        ("Base base_seed=0", None),
        ("Base base_seed=1", None),
        ("0", 3),
        ("1", 3),
    ]


def test_a_compared_setting_that_is_given_names_its_one_row(with_sweep):
    with_sweep(compare="optimisation.rl.steps", vary={"optimisation.rl.steps": [5, 6]})
    assert rows(select("steps", ["optimisation.rl.steps=7"]))[-1] == ("7", 0)


def test_labels_by_hand():
    cell = ["method=rft", "++seed=1", "++data.fraction=0.1"]
    assert label("method", ["method", "seed"], cell) == "RFT"
    assert label("data.fraction", ["data.fraction", "method"], cell) == "0.1, method=rft"


def test_an_unknown_sweep_names_those_there_are():
    with pytest.raises(SettingsError, match=r"unknown sweep 'main_result'\. Did you mean 'main_results'\?"):
        selection.select("main_result")


def test_a_refused_cell_is_named():
    with pytest.raises(SettingsError, match=r"method=sft seed=0 typo=1: "):
        select("main_results", ["typo=1"])
