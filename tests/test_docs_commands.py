"""Every command of ours in the documentation: it exists, takes these options, and its settings and names are known."""

from __future__ import annotations

import importlib
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from eval.benchmarks.registry import BENCHMARKS, GROUPS
from eval.protocols.catalogue import PROTOCOLS
from eval.request import EvalRequest
from eval.samplers.settings import EndpointSampling, LocalSampling, TransformersSampling, VllmSampling
from experiments.cli import app
from experiments.commands.compare import CompareSettings
from experiments.commands.leaderboard import LeaderboardSettings
from experiments.commands.settings_reference import reference
from experiments.compose import compose
from experiments.overrides import CONF, OF_THE_LAUNCHER, groups
from experiments.sweeps import names

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
OURS = ("prefix-rft ", "python -m experiments.run", "python -m benchmarks")
FENCED = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:^    .+\n?)+", re.MULTILINE)
INLINE = re.compile(r"`([^`]+)`")
PLACEHOLDER = re.compile(r"<[^<>]*>|\b[A-Z]{4,}\b")
MAKE = re.compile(r"(?:`|^|    )make ([a-z][a-z-]*)", re.MULTILINE)
STAND_IN = "placeholder"
SETTINGS = set(re.findall(r"^\| `([\w.]+)` \|", reference(), re.MULTILINE))
SAMPLING = {
    f"sampler.{name}"
    for kind in (LocalSampling, TransformersSampling, VllmSampling, EndpointSampling)
    for name in kind.model_fields
}
MEASURING = {
    "eval": {*EvalRequest.model_fields, *SAMPLING},
    "compare": set(CompareSettings.model_fields),
    "leaderboard": set(LeaderboardSettings.model_fields),
}
USAGE_ERROR = typer.BadParameter.__bases__[0]
SWEEPING = ("plan", "table", "report", "dashboards")


def commands(text: str) -> Iterator[str]:
    """Commands of code blocks, and of spans of code in the text."""
    blocks = FENCED.findall(text)
    rest = FENCED.sub("", text)
    for block in [*blocks, *INDENTED.findall(rest)]:
        for line in block.replace("\\\n", " ").splitlines():
            yield from _ours(line.split("  #")[0].split("  ;")[0].strip())
    for span in INLINE.findall(rest):
        yield from _ours(" ".join(span.split()))


def _ours(line: str) -> Iterator[str]:
    if line.startswith(OURS):
        yield line


def words(command: str) -> list[str]:
    """A command's words: placeholders are one word, square brackets are options, dots are whatever follows."""
    plain = PLACEHOLDER.sub(STAND_IN, command)
    return [word for word in shlex.split(re.sub(r"(?<![=\w])\[(--[^\]]*)\]", r"\1", plain)) if word != "..."]


COMMANDS = sorted({command for page in PAGES for command in commands(page.read_text(encoding="utf-8"))})
TRAINING = [command for command in COMMANDS if command.startswith(OURS[1])]
OTHERS = [command for command in COMMANDS if command.startswith(OURS[0])]
BENCHMARKING = [command for command in COMMANDS if command.startswith(OURS[2])]


def test_targets_of_make_exist() -> None:
    asked = {target for page in PAGES for target in MAKE.findall(page.read_text(encoding="utf-8"))}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert {"slurm-sandbox", "test-vllm"} <= asked <= set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))


def test_commands_are_found() -> None:
    assert len(TRAINING) >= 10
    assert {words(command)[1] for command in OTHERS} >= {
        "plan",
        "report",
        "eval",
        "audit",
        "status",
        "reproduce",
    }


@pytest.mark.parametrize("command", TRAINING)
def test_a_training_command_can_be_composed(command: str) -> None:
    given = words(command)[3:]
    flags = [word for word in given if word.startswith("-")]
    assert set(flags) <= {"--multirun", "--cfg", "--help"}
    overrides = [word for word in given if "=" in word]
    assert [word for word in given if word not in flags + overrides] in ([], ["job"])
    check_overrides(overrides)
    chosen = [word for word in overrides if not _of_a_sweep_or_launcher(word)]
    if "--help" not in flags:
        compose([word if word.partition("=")[2].startswith("[") else word.split(",")[0] for word in chosen])


@pytest.mark.parametrize("command", OTHERS)
def test_a_command_takes_its_options(command: str) -> None:
    name, *given = words(command)[1:]
    known = typer.main.get_command(app)
    assert isinstance(known, TyperGroup)
    assert name in known.commands, f"prefix-rft has no command {name}"
    if not given and command in {f"prefix-rft {name}" for name in known.commands}:
        return  # the command is spoken of, and not given in full
    context = known.commands[name].make_context(name, given)
    _check_words(name, context.params)


@pytest.mark.parametrize("command", BENCHMARKING)
def test_a_benchmark_takes_its_options(command: str) -> None:
    name, *given = words(command)[2:]
    if name != "benchmarks.page":
        found = importlib.import_module("benchmarks.__main__" if name == "benchmarks" else name)
        found.parser().parse_args(given)
    else:
        assert not given


def _check_words(name: str, params: dict[str, object]) -> None:
    loose = [str(word) for value in params.values() if isinstance(value, list | tuple) for word in value]
    settings = [word for word in loose if "=" in word]
    if name in MEASURING:
        check_measuring(name, settings)
    else:
        check_overrides(settings)
    if name in SWEEPING:
        assert {word for word in loose if "=" not in word} <= {*names(), "all", STAND_IN}
    if isinstance(only := params.get("only"), str):
        assert set(only.split(",")) <= set(names())
    if name == "audit":
        assert {str(word) for word in loose} <= _choices("method")


def check_overrides(overrides: Sequence[str]) -> None:
    """Every group has that choice, every setting exists."""
    for override in overrides:
        key, _, value = override.lstrip("+").partition("=")
        if key == "sweep":
            assert set(value.split(",")) <= set(names()), override
        elif key == "hydra/launcher":
            assert value == "slurm", override
        elif key in groups():
            assert set(value.split(",")) <= _choices(key) | {STAND_IN}, override
        elif key not in OF_THE_LAUNCHER and not key.startswith("backend.verl."):
            assert key in SETTINGS, override


def check_measuring(name: str, settings: Sequence[str]) -> None:
    """The settings of `eval`, `compare` and `leaderboard`, and the protocols and benchmarks that they name."""
    for setting in settings:
        key, _, value = setting.partition("=")
        assert key in MEASURING[name], setting
        if key == "protocol":
            assert value in PROTOCOLS, setting
        if key == "benchmarks":
            assert set(value.split(",")) <= {*BENCHMARKS, *GROUPS}, setting


def _choices(group: str) -> set[str]:
    return {file.stem for file in (CONF / group).glob("*.yaml")}


def _of_a_sweep_or_launcher(override: str) -> bool:
    key = override.lstrip("+").partition("=")[0]
    return key in ("sweep", "hydra/launcher", *OF_THE_LAUNCHER)


@pytest.mark.parametrize(
    "command",
    [
        "prefix-rft plot main_results",
        "prefix-rft plan no_such_sweep",
        "prefix-rft report main_results --outt report",
        "prefix-rft eval model=m protocol=nobodys",
        "prefix-rft eval modell=m",
        "prefix-rft plan schedule scale=papper",
    ],
)
def test_a_command_that_does_not_exist_is_found(command: str) -> None:
    with pytest.raises((AssertionError, USAGE_ERROR)):
        test_a_command_takes_its_options(command)


@pytest.mark.parametrize(
    "command",
    ["python -m benchmarks lokal_step", "python -m benchmarks.local_step --question 16 --stepps 2"],
)
def test_a_benchmark_that_does_not_exist_is_found(command: str) -> None:
    with pytest.raises(SystemExit):
        test_a_benchmark_takes_its_options(command)


@pytest.mark.parametrize("word", ["method=prefix", "method.clipping.kep=0.2", "+sweep=gone"])
def test_a_setting_that_does_not_exist_is_found(word: str) -> None:
    with pytest.raises(AssertionError):
        test_a_training_command_can_be_composed(f"python -m experiments.run {word}")
