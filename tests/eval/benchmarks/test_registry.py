"""The registry: names, counts, groups, and that it says what the manifests say."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from eval.benchmarks import BENCHMARKS, GROUPS, select
from eval.benchmarks.digests import content_digest, manifest
from eval.benchmarks.write import MANIFESTS
from prefix_rft.errors import SettingsError

ROOT = Path(__file__).parents[3]
COUNTS = {
    "aime24": (30, 32),
    "aime25": (30, 32),
    "amc": (83, 32),
    "amc23": (40, 32),
    "math500": (500, 1),
    "minerva": (272, 1),
    "olympiad": (675, 1),
    "arc_c": (1172, 1),
    "gpqa_diamond": (198, 1),
    "mmlu_pro": (12032, 1),
}
"""Problems and samples a problem, as the family's papers have them (LUFFY, table 1; Prefix-RFT's data scripts)."""


def test_problems_and_samples_are_the_papers() -> None:
    assert {name: (item.problems, item.samples) for name, item in BENCHMARKS.items()} == COUNTS


def test_the_papers_six_have_the_amc_of_83_problems() -> None:
    paper = select("paper")
    assert [item.title for item in paper] == ["AIME24", "AIME25", "AMC", "MATH-500", "Minerva", "Olympiad"]
    assert sum(item.problems for item in paper) == 1590
    assert BENCHMARKS["amc"].title != BENCHMARKS["amc23"].title


@pytest.mark.parametrize("name", [name for name, item in BENCHMARKS.items() if item.digest])
def test_manifest_and_registry_agree(name: str) -> None:
    entries = manifest(name)
    assert entries is not None
    assert len(entries) == len({item.id for item in entries}) == BENCHMARKS[name].problems
    assert content_digest(entries) == BENCHMARKS[name].digest


def test_without_a_digest_there_is_no_manifest() -> None:
    unknown = [name for name, item in BENCHMARKS.items() if item.digest is None]
    assert unknown == list(GROUPS["general"])
    assert [manifest(name) for name in unknown] == [None, None, None]
    assert {path.stem for path in MANIFESTS.glob("*.json")} == set(BENCHMARKS) - set(unknown)


def test_manifests_hold_names_and_hashes_and_no_text() -> None:
    for name in BENCHMARKS:
        for item in manifest(name) or ():
            assert len(item.id) < 50
            assert len(bytes.fromhex(item.problem)) == len(bytes.fromhex(item.answer)) == 8


def test_equal_answers_of_two_problems_look_different() -> None:
    hashes = [item.answer for name in BENCHMARKS for item in manifest(name) or ()]
    assert len(set(hashes)) == len(hashes)


def test_minerva_alone_is_scored_a_second_time() -> None:
    assert [name for name, item in BENCHMARKS.items() if item.scientific] == ["minerva"]


def test_manifests_are_installed() -> None:
    package_data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    assert "benchmarks/manifests/*.json" in package_data["eval"]


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ("aime24", ["aime24"]),
        ("amc, aime24", ["amc", "aime24"]),
        (["amc", "paper", "amc"], ["amc", "aime24", "aime25", "math500", "minerva", "olympiad"]),
        ("general", ["arc_c", "gpqa_diamond", "mmlu_pro"]),
        ("all", list(COUNTS)),
    ],
)
def test_selection_by_names_and_groups(asked: str | list[str], names: list[str]) -> None:
    assert [item.name for item in select(asked)] == names


def test_an_unknown_name_is_refused_with_the_choices() -> None:
    with pytest.raises(
        SettingsError, match=r"unknown benchmark 'aime42'\. Did you mean 'aime2\d'\? Known: .*paper"
    ):
        select("amc,aime42")
    for nothing in ("", " , ", []):
        with pytest.raises(SettingsError, match=r"no benchmark is named\. Known: paper, .*aime24"):
            select(nothing)
