"""One run on verl, from its settings to its last checkpoint; what `prefix_rft.local.trainer.train` is on one device."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from prefix_rft.grading import make_grader
from prefix_rft.methods import make_method
from prefix_rft.models import check_ready
from prefix_rft.questions import load_model_encoder, load_questions
from prefix_rft.rollout import QuestionTokens
from prefix_rft.runs.checkpoint import latest_checkpoint, verify
from prefix_rft.runs.metrics import MetricsWriter
from prefix_rft.runs.store import RunDir
from prefix_rft.settings import PretrainedModel, RunConfig, SftPhase
from prefix_rft.stop import StopFlag
from prefix_rft.verl_backend.config import verl_config
from prefix_rft.verl_backend.guard import check_verl
from prefix_rft.verl_backend.parquet import write_questions
from prefix_rft.verl_backend.translation import AGENT_LOOP, Files, verl_backend

if TYPE_CHECKING:
    from prefix_rft.verl_backend.job import Job

DATASET = "pkg://prefix_rft.verl_backend.dataset:QuestionDataset"
"""What reads the questions inside verl (`Files.dataset`)."""
LOOP = {"name": AGENT_LOOP, "_target_": "prefix_rft.verl_backend.agent_loop.MethodAgentLoop"}
"""Our agent loop, as verl finds it."""
FOLDER = "verl"
"""In the run's directory: the questions as verl is given them."""
Progress = Callable[[int, int], None]


def train(
    config: RunConfig,
    run: RunDir,
    start: Path | str,
    *,
    stop: StopFlag,
    progress: Progress,
    reading: Progress | None = None,
) -> int:
    """Train one run to its last rollout step, from its newest checkpoint or from the starting model.

    Args:
        config: the run's settings, with `backend.kind=verl`.
        run: its directory, locked by the caller, on a file system that every machine sees.
        start: folder (or hub name) of the starting model; used where the run has no checkpoint yet.
        stop: looked at between two rollout steps.
        progress: told after every rollout step.
        reading: told before that, now and then, how many training questions have been read.

    Returns:
        The last rollout step, whose checkpoint exists.

    Raises:
        InterruptedRunError: a stop was asked for; a checkpoint of the last finished step is saved.
        CheckpointError: the newest checkpoint is damaged, of another run, or of another number of workers.
        TrainingError: verl is not there or not the right one; the training diverged; responses could not be made.
        SettingsError: `backend.verl` names a key it may not.
    """
    from prefix_rft.verl_backend.session import environment, ray_session

    backend = verl_backend(config)
    os.environ.update(environment(backend))
    check_verl()
    method = make_method(config.method, config.data.max_response_tokens)
    source = _source(run, start)
    check_ready(config, source)
    model = _local_model(config, source)
    encoder = load_model_encoder(config, model)
    imitates = isinstance(getattr(config.optimisation, method.phase), SftPhase)
    questions = load_questions(config, encoder, reading, imitates=imitates)
    method.check_questions(questions.train)
    questions.list_left_out(run)
    files = write_files(run, model, questions.train, questions.validation)
    with make_grader(config.data.grading) as grader:
        from prefix_rft.verl_backend.job import Job

        job = Job(
            config=config,
            run=run,
            method=method,
            encoder=encoder,
            grader=grader,
            stop=stop,
            progress=progress,
            metrics=MetricsWriter(run.path),
            has_validation=bool(questions.validation),
        )
        theirs = verl_config(config, files, run, job.total_steps(len(questions.train)))
        with ray_session(theirs, backend):
            return _train(theirs, job)


def _train(theirs: DictConfig, job: Job) -> int:
    from verl.trainer.ppo.v1 import AgentLoopManagerTQ

    from prefix_rft.verl_backend.trainer import MethodTrainer

    with _queue(theirs):
        trainer = MethodTrainer(theirs, job)
        trainer.init()
        loops = AgentLoopManagerTQ.create(
            config=theirs,
            llm_client=trainer.get_llm_client(),
            teacher_client=None,
            reward_loop_worker_handles=None,
        )
        trainer.fit(loops)
    return int(trainer.global_steps)


@contextmanager
def _queue(theirs: DictConfig) -> Iterator[None]:
    """verl's queue between trainer, agent loops and workers."""
    import transfer_queue as tq

    tq.init(theirs.transfer_queue)
    try:
        yield
    finally:
        tq.close()


def _source(run: RunDir, start: Path | str) -> Path | str:
    newest = latest_checkpoint(run.path)
    if newest is None:
        return start
    verify(newest)
    return newest.path


def _local_model(config: RunConfig, source: Path | str) -> Path:
    """A folder, since verl knows no revisions: a model on the hub is fetched once, by this process."""
    if Path(source).is_dir():
        return Path(source).absolute()
    from huggingface_hub import snapshot_download

    revision = config.model.revision if isinstance(config.model, PretrainedModel) else None
    return Path(snapshot_download(str(source), revision=revision))


def write_files(
    run: RunDir, model: Path, train: Sequence[QuestionTokens], validation: Sequence[QuestionTokens]
) -> Files:
    """Write the questions into the run's directory; returns them beside all else that verl reads."""
    folder = run.path.absolute() / FOLDER
    return Files(
        model=model,
        train=write_questions(train, folder / "train.parquet"),
        validation=write_questions(validation, folder / "validation.parquet") if validation else None,
        agent_loop=_write_agent_loop(folder),
        checkpoints=folder,
        dataset=DATASET,
    )


def _write_agent_loop(folder: Path) -> Path:
    file = folder / "agent_loop.yaml"
    OmegaConf.save(OmegaConf.create([LOOP]), file)
    return file
