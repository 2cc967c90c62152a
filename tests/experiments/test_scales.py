"""What the scales stand for: the paper's settings, number by number, and the toy points that a laptop trains."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from experiments.compose import compose
from prefix_rft.settings import (
    ChainData,
    HubData,
    LocalBackend,
    PretrainedModel,
    RlPhase,
    SftPhase,
    TinyModel,
    VerlBackend,
)

PAPER_MODELS = {
    "qwen2.5-math-7b": ("models/qwen2.5-math-7b-16k", "Qwen/Qwen2.5-Math-7B"),
    "qwen2.5-math-1.5b": ("models/qwen2.5-math-1.5b-16k", "Qwen/Qwen2.5-Math-1.5B"),
    "llama-3.1-8b": ("models/llama-3.1-8b", "meta-llama/Llama-3.1-8B"),
    "qwen3-1.7b-base": ("models/qwen3-1.7b-base", "Qwen/Qwen3-1.7B-Base"),
}
"""The folder that `prefix-rft prepare-model` makes, and the published model that it makes it from."""
VERL = find_spec("verl") is not None
NO_VERL = "TrainingError: backend=verl needs verl, which is not installed: pip install 'prefix-rft[verl]' "
NO_GPUS = "TrainingError: backend.devices_per_node=8: PyTorch sees 0 CUDA devices on this machine. "


@pytest.mark.parametrize("method", ["sft", "rft", "sft_rft", "prefix_rft"])
@pytest.mark.parametrize("model", PAPER_MODELS)
def test_the_papers_settings_hold_for_every_model_and_method(model, method):
    config = compose(["scale=paper", f"model={model}", f"method={method}"])
    assert isinstance(config.model, PretrainedModel)
    assert isinstance(config.data, HubData)
    assert (config.scale, config.model.path, config.model.source) == ("paper", *PAPER_MODELS[model])
    assert (config.data.max_prompt_tokens, config.data.max_response_tokens) == (1024, 8192)
    _reinforcement(config.optimisation.rl)
    _imitation(config.optimisation.sft)


def _reinforcement(rl: RlPhase) -> None:
    assert (rl.learning_rate, rl.decay, rl.warmup_fraction) == (1e-6, "constant", 0.0)
    assert (rl.questions_per_step, rl.questions_per_step // rl.mini_batches, rl.steps) == (128, 64, 500)
    assert (rl.temperature, rl.entropy_coefficient) == (1.0, 0.001)
    assert (rl.clip_low, rl.clip_high, rl.dual_clip, rl.aggregation) == (0.2, 0.2, 3.0, "constant")
    assert not any("kl" in name for name in RlPhase.model_fields)


def _imitation(sft: SftPhase) -> None:
    assert (sft.learning_rate, sft.warmup_fraction, sft.epochs, sft.aggregation) == (
        5e-5,
        0.1,
        3,
        "token_mean",
    )
    assert 64 <= sft.questions_per_step <= 128


def test_prefix_rft_defaults_to_the_papers_method():
    method = compose(["scale=paper"]).method
    assert (method.name, method.rollouts, method.hybrid_rollouts, method.baseline) == (
        "prefix_rft",
        8,
        1,
        "reference",
    )
    assert (method.schedule.kind, method.schedule.start, method.schedule.end, method.schedule.high) == (
        "cosine",
        0.95,
        0.05,
        0.95,
    )
    assert (method.clipping.keep, method.clipping.select, method.divide_by_std) == (0.2, "highest", False)


@pytest.mark.parametrize(
    ("chosen", "machines", "address"), [("verl", (1, 8), "local"), ("verl_4x8", (4, 8), "auto")]
)
def test_the_papers_scale_runs_on_verl_and_several_gpus(chosen, machines, address):
    backend = compose(["scale=paper", f"backend={chosen}"]).backend
    assert isinstance(backend, VerlBackend)
    assert (backend.nodes, backend.devices_per_node) == machines
    assert (backend.ray_address, backend.device, backend.dtype, backend.engine) == (
        address,
        "cuda",
        "bfloat16",
        "vllm",
    )
    assert backend.plugin is None
    assert compose(["scale=paper"]).backend.kind == "verl"
    assert isinstance(compose(["scale=paper", "backend=local_gpu"]).backend, LocalBackend)


@pytest.mark.parametrize("scale", ["toy", "toy_hard", "toy_weak", "trial"])
def test_on_a_laptop_verl_runs_on_the_cpu(scale):
    given = ["data.path=questions.jsonl"] if scale == "trial" else []
    backend = compose(["backend=verl", f"scale={scale}", *given]).backend
    assert backend == compose(["backend=verl_cpu"]).backend
    assert (backend.device, backend.devices_per_node, backend.dtype) == ("cpu", 1, "float32")


def test_backends_share_method_data_and_optimisation():
    """What verl does not measure is the only other difference."""
    local, verl = compose(), compose(["backend=verl"])
    assert (verl.method, verl.data, verl.model, verl.evaluation) == (
        local.method,
        local.data,
        local.model,
        local.evaluation,
    )
    assert verl.optimisation.rl == local.optimisation.rl.model_copy(update={"gradient_norms_every": 0})
    assert verl.optimisation.sft == local.optimisation.sft


def test_toy_is_the_default_and_its_teacher_errs_systematically():
    config = compose()
    assert config == compose(["scale=toy"])
    assert isinstance(config.data, ChainData)
    assert isinstance(config.model, TinyModel)
    assert (config.data.teacher, config.backend.device) == ("systematic", "cpu")
    assert (config.evaluation.samples, config.evaluation.pass_at) == (32, (1, 8))


def test_the_weak_toy_point_differs_in_skill_and_teacher():
    toy, weak = compose(["scale=toy"]), compose(["scale=toy_weak"])
    assert isinstance(weak.data, ChainData)
    assert isinstance(toy.model, TinyModel)
    assert isinstance(weak.model, TinyModel)
    assert (weak.data.teacher, weak.data.slip_rate) == ("slips", 0.3)
    assert weak.model.habit_stepwise > toy.model.habit_stepwise


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ([], NO_GPUS if VERL else NO_VERL),
        (
            ["backend=local_gpu"],
            "TrainingError: backend.device=cuda is not available: PyTorch sees 0 CUDA devices",
        ),
        (
            ["backend=local", "backend.skip_zero_weight_rows=false"],
            "DataError: there is no model folder models/qwen2.5-math-7b-16k. Make it: `prefix-rft prepare-model ",
        ),
    ],
    ids=["no verl, or no GPUs for it", "no GPU", "no prepared model"],
)
def test_the_papers_scale_fails_here_with_a_reason_and_not_with_a_traceback(tmp_path, overrides, reason):
    done = subprocess.run(
        [sys.executable, "-m", "experiments.run", "scale=paper", "tracking=disabled", *overrides],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "HF_HUB_OFFLINE": "1",
            "CUDA_VISIBLE_DEVICES": "",
            "HF_HOME": str(tmp_path / "hub"),
        },
    )
    assert done.returncode == 1
    assert "1 of 1 runs failed:" in done.stderr
    assert reason in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
