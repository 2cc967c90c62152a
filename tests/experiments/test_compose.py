"""From a command line to the typed configuration: what is accepted, what is refused, and in which words."""

from __future__ import annotations

import itertools

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir

from experiments.compose import compose, compose_all, typed
from experiments.overrides import CONF, for_hydra
from prefix_rft.errors import SettingsError
from prefix_rft.settings import RunConfig, TinyModel

FOLDERS = sorted(folder.name for folder in CONF.iterdir() if folder.is_dir() and folder.name != "__pycache__")
NEEDED = {
    ("data", "jsonl"): ["data.path=questions.jsonl", "model=scratch"],
    ("data", "parquet"): ["data.path=questions.parquet", "model=scratch"],
    ("data", "hub"): ["data.repository=owner/name", "model=pretrained", "model.path=m"],
    ("data", "openr1"): ["model=qwen2.5-math-7b"],
    ("data", "openr1_prepared"): ["model=qwen2.5-math-7b"],
    ("model", "pretrained"): ["model.path=m", "data=openr1"],
    ("model", "scratch"): ["data=jsonl", "data.path=questions.jsonl"],
    ("optimisation", "paper"): ["backend.skip_zero_weight_rows=false"],
    ("scale", "trial"): ["data.path=questions.jsonl"],
}
"""What a choice needs beside itself."""


def choices(group: str) -> list[str]:
    return sorted(file.stem for file in (CONF / group).glob("*.yaml"))


def every_choice() -> list[tuple[str, str]]:
    return [(group, choice) for group in FOLDERS for choice in choices(group)]


def _chooses(tuned: str) -> list[str]:
    (found,) = [
        [f"scale={scale}", f"method={method}"]
        for scale, method in itertools.product(choices("scale"), choices("method"))
        if f"{scale}_{method}" == tuned
    ]
    return found


@pytest.mark.parametrize(("group", "choice"), every_choice(), ids=lambda value: value)
def test_every_file_composes_and_validates(group, choice):
    """A file of `tuned` is chosen by its scale and method."""
    chosen = _chooses(choice) if group == "tuned" else [f"{group}={choice}"]
    config = compose([*chosen, *NEEDED.get((group, choice), [])])
    assert isinstance(config, RunConfig)
    if group == "method":
        assert config.method.name == choice
    if group == "scale":
        assert config.scale == choice


def test_every_method_composes_at_every_scale():
    cells = [
        [f"method={method}", f"scale={scale}", *NEEDED.get(("scale", scale), [])]
        for method, scale in itertools.product(choices("method"), choices("scale"))
    ]
    assert len(compose_all(cells)) == len(choices("method")) * len(choices("scale"))


@pytest.mark.parametrize(
    "cell",
    [
        ["seed=3"],
        ["method=rft", "method.rollouts=4", "+optimisation.rl.steps=7"],
        ["method.schedule.kind=uniform", "method.schedule.low=0.1"],
        ["evaluation.pass_at=[1,4]", "data.grading.extract=[last_line]"],
        ["tracking.tags=[a,b]", "store='a b'", "launcher.workers=null"],
        ["scale=toy_weak", "optimisation.rl.learning_rate=1e-5"],
        ["data=chain_slips", "~data.slip_rate"],
        ["method.schedule={kind: linear, end: 0.2}"],
    ],
    ids=" ".join,
)
def test_settings_are_set_as_hydra_would(cell):
    """Cells of the same files share one composition; the result is the same as without this short cut."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        alone = typed(hydra_compose("config", overrides=for_hydra(cell)))
    others = [["seed=1"], ["method=sft"], ["optimisation.rl.steps=9"]]
    assert compose_all([*others, cell, *others])[3] == alone


def test_a_cell_does_not_see_the_settings_of_another():
    first, second = compose_all([["model.base_seed=5", "seed=1"], ["seed=2"]])
    assert isinstance(first.model, TinyModel)
    assert isinstance(second.model, TinyModel)
    assert (first.model.base_seed, first.seed, second.model.base_seed, second.seed) == (5, 1, 0, 2)


def test_a_choice_on_the_command_line_beats_that_of_a_scale():
    config = compose(["scale=paper", "model=llama-3.1-8b", "optimisation.rl.steps=10"])
    assert (config.model.path, config.optimisation.rl.steps) == ("models/llama-3.1-8b", 10)


REFUSALS = {
    "+typo=1": r"typo: there is no such setting; did you mean '\w+'\?",
    "typo=1": r"typo: there is no such setting; did you mean '\w+'\?",
    "sed=1": r"sed: there is no such setting; did you mean 'seed'\?",
    "method.hybrid_rollots=2": r"method\.hybrid_rollots: .*; did you mean 'method\.hybrid_rollouts'\?",
    "+optimisation.rl.stepps=2": r"optimisation\.rl\.stepps: .*; did you mean 'optimisation\.rl\.steps'\?",
    "method=foo": r"unknown method 'foo'\. Known: dr_po, luffy, prefix_rft, ",
    "method=prefixrft": r"unknown method 'prefixrft'\. Did you mean 'prefix_rft'\?",
    "scale=papr": r"unknown scale 'papr'\. Did you mean 'paper'\? Known: paper, toy",
    "+sweep=foo": r"unknown sweep 'foo'\. Known: .*main_results",
    "hydra/launcher=foo": r"unknown hydra/launcher 'foo'\. Known: basic, local",
    "seed=abc": r"seed: Input should be a valid integer",
    "seed=-1": r"seed: Input should be greater than or equal to 0 \(given: -1\)",
    "data=jsonl": r"^data\.path: needs a value, e\.g\. data\.path=<value>$",
    "seed=[": r"'seed=\[' cannot be read",
    "seed=1,2": r"^seed=1,2 is a sweep: add --multirun; a list is written key=\[a,b\]$",
    "method.schedule.kind=foo": r"method\.schedule: unknown kind 'foo'\. Known: constant, cosine, linear, uniform\.",
}


@pytest.mark.parametrize("override", REFUSALS)
def test_refusals_name_the_thing_and_the_choices(override):
    with pytest.raises(SettingsError, match=REFUSALS[override]):
        compose([override])


def test_of_many_cells_the_refused_one_is_named():
    with pytest.raises(
        SettingsError, match=r"^method\.hybrid_rollouts=9 seed=1: .*\n  method: hybrid_rollouts=9 exceeds"
    ):
        compose_all([["seed=0"], ["method.hybrid_rollouts=9", "seed=1"]])


@pytest.mark.parametrize(
    ("typed_in", "passed_on"),
    [
        (["seed=1"], ["++seed=1"]),
        (["method=rft", "data@other=x"], ["method=rft", "data@other=x"]),
        (["+a.b=1", "++a.b=1", "~a.b"], ["++a.b=1", "++a.b=1", "~a.b"]),
        (
            ["hydra.sweeper.params={}", "hydra/launcher=local"],
            ["hydra.sweeper.params={}", "hydra/launcher=local"],
        ),
        (["sweep=main_results"], ["+sweep=main_results"]),
        (["store=x", "--multirun", "seed=0,1"], ["--multirun", "++store=x", "++seed=0,1"]),
        (["seed=1", "--config-dir", "/a/b", "-c", "job"], ["--config-dir", "/a/b", "-c", "job", "++seed=1"]),
        (["--config-dir=/a/b"], ["--config-dir=/a/b"]),
        (["store=/a=b/c"], ["++store=/a=b/c"]),
    ],
)
def test_settings_get_two_plus_signs_and_flags_come_first(typed_in, passed_on):
    assert for_hydra(typed_in) == passed_on


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["seed@foo=3"], "leave out @"),
        (["seed=1", "~seed"], "contradict each other"),
        (
            ["evaluation=paper", "evaluation.benchmarks.names=[aime24]", "~evaluation.benchmarks"],
            "contradict",
        ),
    ],
)
def test_what_hydra_would_read_in_another_way_is_refused(overrides, message):
    with pytest.raises(SettingsError, match=message):
        compose(overrides)


def test_an_element_of_a_list_is_set_as_hydra_sets_it():
    overrides = ["evaluation=paper", "evaluation.benchmarks.names.0=amc23"]
    assert compose(overrides).evaluation.benchmarks.names[:2] == ("amc23", "aime25")
