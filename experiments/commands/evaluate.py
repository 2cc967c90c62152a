"""`prefix-rft eval`: one model on published benchmarks under a named protocol."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from analysis import render
from analysis.evaluation_tables import score_table
from eval.asking import ask, encoder_for, protocol_for
from eval.benchmarks.registry import select
from eval.benchmarks.schema import Benchmark
from eval.frames import Evaluated, write_frame
from eval.frames import find as find_evaluations
from eval.lighteval import general
from eval.lighteval.environment import Environment, find_or_make
from eval.models import Model, find_model, served_model
from eval.protocols.catalogue import find
from eval.protocols.schema import EvaluationProtocol
from eval.request import EvalRequest, benchmarks_folder
from eval.samplers.build import build
from eval.samplers.settings import EndpointSampling
from eval.suite import Asked, measure, place
from experiments.commands.bars import NamedBars, bars
from experiments.commands.key_values import nested
from experiments.commands.lighteval_replay import consent
from prefix_rft.data.encode import Encoder
from prefix_rft.settings.base import parse

SCORES = "scores.parquet"
"""All scores of one model, below its folder."""
_SHOWN_CHANGES = 3
GROUPS = {"sampler": "kind"}
"""`sampler=vllm` means `sampler.kind=vllm`."""


def evaluate(words: Sequence[str], console: Console) -> int:
    """Sample, grade and score, benchmark by benchmark; what is on the disk is neither made nor graded again.

    Args:
        words: `key=value` of `EvalRequest`.
        console: where to print.

    Returns:
        0: every benchmark has its scores.

    Raises:
        SettingsError: a setting is refused, or what the sampler needs is not installed.
        DataError: the model or a benchmark cannot be had, or a benchmark has changed.
        RunError: there is no such run, or it is not trained.
        SamplingError: samples are missing; those that were made are kept.
    """
    request = parse(EvalRequest, nested(words, GROUPS))
    benchmarks = select(request.benchmarks)
    model, protocol, family, encoder = _subject(request)
    asked = [_ask(benchmark, request, protocol, family) for benchmark in benchmarks]
    harness = _harness(benchmarks, request)
    sampler = build(request.sampler, model, encoder)
    root, again = request.out / model.name, f"Run `{_command(words)}` again"
    done: list[Evaluated] = []
    with bars(Console(stderr=True)) as progress:
        for one in asked:
            tell = _Named(NamedBars(progress), one.loaded.benchmark.title)
            if one.loaded.benchmark.group == "general":
                assert harness is not None
                folder = general.place(one, sampler, root, harness)
                made = general.measure(one, sampler, encoder, folder, harness, progress=tell, again=again)
            else:
                folder, workers = place(one, sampler, root), request.grading_workers
                made = measure(one, sampler, encoder, folder, workers=workers, progress=tell, again=again)
            done.append(made)
    write_frame(root / SCORES, find_evaluations([root]).evaluations)
    _print(model, asked, done, console)
    console.print(Text(f"results: {root} (all scores: {root / SCORES})"), soft_wrap=True)
    return 0


class _Named:
    """Progress of one benchmark under its name."""

    def __init__(self, bar: NamedBars, title: str) -> None:
        self._bar, self._title = bar, title

    def __call__(self, stage: str, done: int, total: int) -> None:
        self._bar(f"{self._title}, {stage}", done, total)


def _harness(benchmarks: Sequence[Benchmark], request: EvalRequest) -> Environment | None:
    """lighteval, where a benchmark needs it."""
    if all(benchmark.group != "general" for benchmark in benchmarks):
        return None
    return find_or_make(request.lighteval, consent(request.install_lighteval))


def _print(model: Model, asked: Sequence[Asked], done: Sequence[Evaluated], console: Console) -> None:
    """A table of the mathematics, one of the others: they are graded differently."""
    for group in ("mathematics", "general"):
        own = [made for one, made in zip(asked, done, strict=True) if one.loaded.benchmark.group == group]
        if own:
            title = f"{model.name}, protocol {asked[0].protocol.name}, {group}"
            console.print(render.rich_renderable(score_table(own, title)))
    for line in _warnings(asked):
        console.print(Text(line), soft_wrap=True)


def _warnings(asked: Sequence[Asked]) -> Iterator[str]:
    for one in asked:
        loaded, title = one.loaded, one.loaded.benchmark.title
        if loaded.changes:
            shown = "; ".join(loaded.changes[:_SHOWN_CHANGES])
            yield f"{title} has CHANGED DATA in {len(loaded.changes)} places: {shown}"
        elif len(loaded.problems) < loaded.benchmark.problems:
            count = f"{len(loaded.problems)} of {loaded.benchmark.problems}"
            yield f"{title}: only the first {count} problems; not a number for a paper"


def _subject(request: EvalRequest) -> tuple[Model, EvaluationProtocol, str | None, Encoder | None]:
    """The model, the protocol as it asks it, its family, and its tokenizer where it is needed here."""
    sampling = request.sampler
    if isinstance(sampling, EndpointSampling) and (sampling.api == "chat" or sampling.prompt == "text"):
        model = served_model(
            request.model, revision=request.revision, trust_remote_code=request.trust_remote_code
        )
        return model, find(request.protocol, request.family), request.family, None
    model = find_model(
        request.model, request.store, revision=request.revision, trust_remote_code=request.trust_remote_code
    )
    protocol, family = protocol_for(request.protocol, model, request.family)
    return model, protocol, family, encoder_for(protocol, model)


def _ask(
    benchmark: Benchmark, request: EvalRequest, protocol: EvaluationProtocol, family: str | None
) -> Asked:
    return ask(
        benchmark,
        protocol,
        benchmarks_folder(request.benchmarks_folder),
        allow_changed=request.allow_changed_data,
        problems=request.problems,
        samples=request.samples,
        max_tokens=request.max_tokens,
        seed=request.seed,
        family=family,
    )


def _command(words: Sequence[str]) -> str:
    return shlex.join(["prefix-rft", "eval", *words])
