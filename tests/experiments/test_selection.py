"""Which runs stand in a sweep's table, and under which names."""

from __future__ import annotations

import pytest

from analysis.results import load_results
from experiments import selection, sweeps
from experiments.compose import compose_all
from experiments.overrides import for_hydra
from experiments.selection import label, select
from experiments.sweeps import Sweep
from hydra_plugins.prefix_rft_launchers.grid import GridSweeper
from prefix_rft.errors import SettingsError
from prefix_rft.runs.identity import benchmark_folder, evaluation_folder


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
    methods = ("SFT", "RFT", "SFT→RFT", "RL + SFT loss", "UFT", "LUFFY", "ReLIFT", "Prefix-RFT")
    assert rows(selected) == [("Base", None), *((name, seed) for name in methods for seed in (0, 1, 2))]
    assert {config.sweep for config in selected.configs} == {"main_results"}
    assert len({cell.run_id for cell in selected.cells}) == 25
    assert selected.parts == {"test": evaluation_folder(selected.configs[0])}


def test_a_varied_setting_that_is_given_keeps_to_what_is_given():
    selected = select("main_results", ["seed=5", "method=sft,rft", "store=elsewhere"])
    assert rows(selected) == [("Base", None), ("SFT", 5), ("RFT", 5)]
    assert str(selected.store.root) == "elsewhere"


def test_settings_of_one_run_apply_to_every_cell():
    overrides = ["seed=range(0,2)", "method=sft,rft", "optimisation.rl.steps=9"]
    found = select("main_results", overrides).configs
    assert [(c.method.name, c.seed) for c in found] == [("sft", 0), ("sft", 1), ("rft", 0), ("rft", 1)]
    assert {config.optimisation.rl.steps for config in found} == {9}


def test_variants_are_rows_under_their_own_names(with_sweep):
    with_sweep(
        compare="variants",
        variants={"top": {"method.clipping.keep": 0.2}, "all": {"method.clipping.keep": 1.0}},
        vary={"model.base_seed": [0, 2], "seed": [0, 1]},
        fixed={"method": "prefix_rft"},
    )
    selected = select("ratio")
    assert [name for name, _ in rows(selected)[:2]] == ["Base base_seed=0", "Base base_seed=2"]
    assert rows(selected)[2:5] == [
        ("top, base_seed=0", 0),
        ("top, base_seed=0", 1),
        ("top, base_seed=2", 0),
    ]
    assert [config.method.clipping.keep for config in selected.configs] == [0.2] * 4 + [1.0] * 4
    assert rows(select("ratio", ["model.base_seed=0", "seed=1"])) == [("Base", None), ("top", 1), ("all", 1)]


def test_two_rows_can_be_one_run(with_sweep, tmp_path):
    """As when a variant only says aloud what is the default."""
    with_sweep(compare="variants", variants={"as it is": {}, "said": {"method.clipping.keep": 0.2}})
    selected = select("twice", [f"store={tmp_path}"])
    _, first, second = selected.cells
    assert (first.run_id, first.label, second.label) == (second.run_id, "as it is", "said")
    assert load_results(selected.store, selected.cells).labels == ("Base", "as it is", "said")


def test_a_refused_override_names_the_sweep_and_the_rows(with_sweep):
    with_sweep(compare="variants", variants={"one": {"method": "rft"}})
    with pytest.raises(SettingsError, match=r"sweep rows: method is what tells .* apart .* 'one' set it"):
        select("rows", ["method=sft"])


def test_a_table_of_validation_is_about_validation(with_sweep):
    with_sweep(vary={"seed": [0]}, compare="seed", fixed={"evaluation.splits": ["validation"]})
    assert list(select("tuning").parts) == ["validation"]


def test_cells_of_several_protocols_have_no_common_one(with_sweep):
    with_sweep(vary={"evaluation.seed": [0, 1]}, compare="evaluation.seed")
    assert select("protocols").parts == {"test": None}


def test_a_table_of_benchmarks_is_about_all_of_them(with_sweep):
    with_sweep(vary={"seed": [0]}, compare="seed", fixed={"evaluation": "paper"})
    selected = select("main")
    assert list(selected.parts) == ["aime24", "aime25", "amc", "math500", "minerva", "olympiad"]
    assert set(selected.parts.values()) == {benchmark_folder(selected.configs[0])}


def test_benchmarks_beside_a_split_are_what_the_table_is_about(with_sweep):
    with_sweep(vary={"seed": [0]}, compare="seed", fixed={"evaluation.benchmarks.names": ["aime24"]})
    assert list(select("main").parts) == ["aime24"]


@pytest.mark.parametrize("name", ["main_results", "mini_batches"])
def test_the_cells_of_a_table_are_those_that_multirun_trains(name):
    given = ["seed=0,1", "data.fraction=0.5"]
    cells = GridSweeper(name)._cells([f"+sweep={name}", *for_hydra(given)])
    assert compose_all(cells) == list(select(name, given).configs)


def test_sweeps_share_runs():
    """Table 8's first row is the share that the paper chose."""
    ids = {
        name: {
            cell.label: cell.run_id
            for cell in select(name, ["scale=toy", "model.base_seed=0", "seed=0"]).cells
        }
        for name in ("entropy_ratio", "schedule", "prefix_weighting", "main_results")
    }
    assert (
        len({ids["entropy_ratio"]["top 20%"], ids["schedule"]["cosine"], ids["main_results"]["Prefix-RFT"]})
        == 1
    )
    assert ids["prefix_weighting"]["Prefix-RFT"] == ids["main_results"]["Prefix-RFT"]
    assert ids["prefix_weighting"]["update all"] == ids["entropy_ratio"]["all"]


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
    assert label("data.fraction", ["data.fraction", "method"], cell) == "0.1, RFT"
    assert label("variants", ["method", "data.fraction"], cell, "weak") == "weak, RFT, fraction=0.1"
    assert label("method", [], cell, "weak") == "RFT, weak"


def test_an_unknown_sweep_names_those_there_are():
    with pytest.raises(SettingsError, match=r"unknown sweep 'main_result'\. Did you mean 'main_results'\?"):
        selection.select("main_result")


def test_a_refused_cell_is_named():
    with pytest.raises(SettingsError, match=r"method=sft seed=0 typo=1: "):
        select("main_results", ["typo=1"])
