"""The parsers keep their promises for text of every kind; PREFIX_RFT_FUZZ_EXAMPLES says how many are tried."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

SLOWEST_SECONDS = 1.0


def _beside(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"fuzz_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


corpus, targets = _beside("corpus"), _beside("targets")
WITH_FILES = {"overrides", "records", "metrics", "states", "markers", "run_files", "scores", "jsonl_rows"} | {
    "parquet_rows", "samples", "labelled", "sweep_files"
}  # fmt: skip


def texts(name: str) -> SearchStrategy[bytes]:
    """Words that the parser knows, at times many times over; text of any kind; bytes; seeds with a part replaced."""
    word = st.sampled_from(corpus.WORDS.get(name, corpus.JSON)) | st.text(max_size=4)
    known = st.lists(word | st.builds(str.__mul__, word, st.integers(2, 300)), max_size=14).map("".join)
    parts = st.builds(
        _with_part, st.sampled_from(corpus.SEEDS[name]), st.integers(0, 400), st.integers(0, 20), known
    )
    return (known | parts | st.text(max_size=60)).map(_raw) | st.binary(max_size=60)


def _with_part(seed: str, start: int, length: int, part: str) -> str:
    at = start % (len(seed) + 1)
    return seed[:at] + part + seed[at + length :]


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _try(name: str, examples: int) -> None:
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        derandomize=False,
    )
    @given(texts(name))
    def holds(raw: bytes) -> None:
        taken = _seconds(name, raw)
        # A collection of garbage takes that long by itself in a process that has run thousands of tests; not twice.
        if taken >= SLOWEST_SECONDS:
            taken = _seconds(name, raw)
        assert taken < SLOWEST_SECONDS, f"{len(raw)} bytes take too long"

    holds()


def _seconds(name: str, raw: bytes) -> float:
    began = time.thread_time()
    targets.TARGETS[name](raw)
    return time.thread_time() - began


def _examples(name: str, plain: int, with_files: int) -> int:
    asked = os.environ.get("PREFIX_RFT_FUZZ_EXAMPLES")
    return int(asked) if asked else with_files if name in WITH_FILES else plain


@pytest.mark.parametrize("name", sorted(targets.TARGETS))
def test_promises_are_kept(name: str) -> None:
    _try(name, _examples(name, 150, 40))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(targets.TARGETS))
def test_promises_are_kept_at_length(name: str) -> None:
    _try(name, _examples(name, 10_000, 1_500))


@pytest.mark.parametrize("name", sorted(targets.TARGETS))
def test_seeds_keep_them(name: str) -> None:
    for seed in corpus.SEEDS[name]:
        targets.TARGETS[name](_raw(seed))
