"""Published benchmarks: what each is, where its problems are had, and whether these are the ones everybody means."""

from eval.benchmarks.load import Loaded, load
from eval.benchmarks.registry import BENCHMARKS, GROUPS, select
from eval.benchmarks.schema import Benchmark, HubSource, Problem

__all__ = ["BENCHMARKS", "GROUPS", "Benchmark", "HubSource", "Loaded", "Problem", "load", "select"]
