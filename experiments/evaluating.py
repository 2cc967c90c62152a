"""The evaluation stages of a run: splits of its data, then published benchmarks. Each is skipped where it is done."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from eval.asking import ask, encoder_for, protocol_for
from eval.benchmarks.registry import BENCHMARKS
from eval.evaluate import evaluate as run_evaluation
from eval.lighteval import general
from eval.lighteval.environment import find as find_environment
from eval.models import Model
from eval.prompts import Prompt
from eval.protocol import ProtocolRecord, describe
from eval.request import benchmarks_folder
from eval.sampler import LocalSampler, Sampler
from eval.samplers.build import build
from eval.samplers.settings import LocalSampling, SamplerSettings, VllmSampling
from eval.suite import measure
from experiments.stages import trained_model
from prefix_rft import data, grading
from prefix_rft.data.encode import Encoder, encode_questions
from prefix_rft.data.schema import SPLITS, Question, Split
from prefix_rft.grading import make_grader
from prefix_rft.local.trainer import load_model
from prefix_rft.questions import load_model_encoder
from prefix_rft.runs.identity import evaluations
from prefix_rft.runs.markers import evaluation_stage
from prefix_rft.runs.state import StateWriter
from prefix_rft.runs.store import RunDir
from prefix_rft.settings import PretrainedModel, RunConfig, VerlBackend, embedded
from prefix_rft.stop import InterruptedRunError, StopFlag


def evaluate(run: RunDir, config: RunConfig, state: StateWriter, stop: StopFlag) -> None:
    """Evaluate on every split and benchmark that the configuration asks for and that is not done."""
    benchmarks = _Benchmarks(run, config)
    for name, folder_name in evaluations(config):
        folder, stage = run.path / "eval" / name / folder_name, evaluation_stage(name, folder_name)
        if run.stages.is_done(stage):
            continue
        state.running(stage)
        teller = _Teller(state, stop)
        if name in SPLITS:
            counted = _evaluate_split(run, config, name, folder, teller)
        else:
            counted = benchmarks.evaluate(name, folder, teller)
        run.stages.mark_done(stage, **counted)


class _Teller:
    """Passes an evaluation's progress on, and leaves it where a stop was asked for."""

    def __init__(self, state: StateWriter, stop: StopFlag) -> None:
        self._state, self._stop = state, stop

    def __call__(self, stage: str, done: int, total: int) -> None:
        if self._stop:
            raise InterruptedRunError(f"{self._stop.signal} while {stage}: {done} of {total} questions")
        self._state.progress(done, total)


def _evaluate_split(
    run: RunDir, config: RunConfig, split: Split, folder: Path, teller: _Teller
) -> dict[str, int]:
    """Evaluate one split; returns what there is of it."""
    source = trained_model(run)
    encoder = load_model_encoder(config, source)
    sampler = LocalSampler(
        load_model(config, source),
        encoder,
        subject=f"run {run.id} {source.name}",
        batch=embedded(config.backend).generation_batch,
    )
    questions = data.load(config.data).split(split)[: config.evaluation.questions]
    encoded = encode_questions(questions, encoder, config.data, with_demonstrations=False)
    kept = {question.id for question in encoded.questions}
    questions = tuple(question for question in questions if question.id in kept)
    with make_grader(config.data.grading) as grader:
        run_evaluation(
            folder,
            questions,
            [Prompt(question.id, ids=question.prompt) for question in encoded.questions],
            sampler,
            grader,
            _protocol(config, split, questions, sampler),
            config.evaluation,
            config.data.max_response_tokens,
            teller,
        )
    return {"samples": config.evaluation.samples, "questions": len(questions)}


def _protocol(
    config: RunConfig, split: Split, questions: Sequence[Question], sampler: LocalSampler
) -> ProtocolRecord:
    template = config.model.template if isinstance(config.model, PretrainedModel) else config.model.kind
    return describe(
        config.evaluation,
        config.data.grading,
        questions,
        split=split,
        max_tokens=config.data.max_response_tokens,
        template=template,
        grader=grading.version(config.data.grading),
        sampler=sampler.name,
        sampler_version=sampler.version,
    )


class _Benchmarks:
    """A run's evaluations on benchmarks: one model, loaded once for all of them."""

    def __init__(self, run: RunDir, config: RunConfig) -> None:
        self._run, self._config = run, config
        self._asked = config.evaluation.benchmarks
        self._loaded: tuple[Model, Encoder, Sampler] | None = None

    def evaluate(self, name: str, folder: Path, teller: _Teller) -> dict[str, int]:
        """Evaluate on one benchmark; returns what there is of it."""
        model = self._model()
        protocol, family = protocol_for(self._asked.protocol, model)
        asked = ask(
            BENCHMARKS[name],
            protocol,
            benchmarks_folder(self._asked.folder),
            allow_changed=self._asked.allow_changed_data,
            problems=self._asked.problems,
            samples=self._asked.samples,
            max_tokens=self._asked.max_tokens,
            family=family,
        )
        if self._loaded is None:
            encoder = encoder_for(protocol, model)
            self._loaded = model, encoder, build(_sampling(self._config), model, encoder)
        _, encoder, sampler = self._loaded
        if asked.loaded.benchmark.group == "general":
            general.measure(asked, sampler, encoder, folder, find_environment(), progress=teller)
        else:
            workers = self._config.data.grading.workers
            measure(asked, sampler, encoder, folder, workers=workers, progress=teller)
        return {"samples": asked.samples, "questions": len(asked.loaded.problems)}

    def _model(self) -> Model:
        if self._loaded is not None:
            return self._loaded[0]
        source, own = trained_model(self._run), self._config.model
        trusted = isinstance(own, PretrainedModel) and own.trust_remote_code
        subject = f"run {self._run.id} {source.name}"
        return Model(self._run.id, source, subject, trust_remote_code=trusted)


def _sampling(config: RunConfig) -> SamplerSettings:
    """The sampler of benchmarks, on the devices that training had."""
    backend = config.backend
    if config.evaluation.benchmarks.engine == "local":
        own = embedded(backend)
        return LocalSampling(device=own.device, dtype=own.dtype, batch=own.generation_batch)
    if isinstance(backend, VerlBackend):
        return VllmSampling(dtype=backend.dtype, tensor_parallel=backend.tensor_parallel)
    return VllmSampling(dtype=backend.dtype)
