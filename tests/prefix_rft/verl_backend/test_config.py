"""verl's configuration of a run: composed from verl's files, ours over it, `backend.verl` last."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest
import yaml

from prefix_rft.errors import SettingsError, TrainingError
from prefix_rft.verl_backend import config as config_module
from prefix_rft.verl_backend.config import CONFIG_FILE, verl_config
from prefix_rft.verl_backend.keys import fields_of, flat


def test_nested_settings_are_dotted_keys():
    assert dict(flat({"a": {"b": {"c": 1}, "d": [2]}, "e": {}})) == {"a.b.c": 1, "a.d": [2], "e": {}}


def test_fields_are_read_from_source_with_those_of_bases(tmp_path):
    folder = tmp_path / "workers" / "config"
    folder.mkdir(parents=True)
    (folder / "base.py").write_text("import nowhere\nclass Base:\n    seed: int = 0\n    limit = 3\n")
    (folder / "engine.py").write_text("from .base import Base\nclass Engine(Base):\n    dtype: str = 'x'\n")
    assert fields_of("Engine", tmp_path) == {"seed", "dtype"}
    assert fields_of("Elsewhere", tmp_path) == set()


def test_without_verl_the_install_command_is_named(verl_run, files, tmp_path, monkeypatch):
    monkeypatch.setattr(config_module, "find_spec", lambda name: None)
    with pytest.raises(TrainingError, match=r"pip install 'prefix-rft\[verl\]' -c requirements/lock.txt"):
        verl_config(verl_run(), files, SimpleNamespace(id="0123456789ab", path=tmp_path), 1)


@pytest.fixture
def built(verl_run, files, tmp_path):
    """Composes verl's configuration of a run with these of verl's own settings."""
    pytest.importorskip("verl", reason="verl is not installed: make verl")
    run = SimpleNamespace(id="0123456789ab", path=tmp_path)

    def build(verl=None, method="prefix_rft", **backend):
        config = verl_run(method, backend={**backend, "verl": verl or {}})
        return verl_config(config, files, run, 6 if method == "sft" else 500)

    return build


@pytest.mark.verl
def test_it_is_verls_own_with_ours_over_it_and_saved(built, tmp_path):
    composed = built()
    assert composed.actor_rollout_ref.rollout.n == 8
    assert composed.actor_rollout_ref.rollout.agent.default_agent_loop == "prefix_rft"
    assert composed.algorithm.gamma == 1.0  # verl's
    saved = yaml.safe_load((tmp_path / CONFIG_FILE).read_text())
    assert saved["actor_rollout_ref"]["actor"]["optim"]["optimizer"] == "CourseAdamW"
    assert saved["trainer"]["experiment_name"] == "0123456789ab"


@pytest.mark.verl
@pytest.mark.parametrize("method", ["prefix_rft", "sft"])
def test_every_value_resolves(built, method):
    from omegaconf import OmegaConf

    composed = built(method=method)
    OmegaConf.to_container(composed, resolve=True)
    unused = ("reward.reward_model.", "distillation.")
    assert [key for key in OmegaConf.missing_keys(composed) if not key.startswith(unused)] == []


@pytest.mark.verl
@pytest.mark.parametrize(
    ("verl", "key", "value"),
    [
        ({"trainer": {"log_val_generations": 3}}, "trainer.log_val_generations", 3),
        (
            {"actor_rollout_ref": {"rollout": {"max_num_seqs": 64}}},
            "actor_rollout_ref.rollout.max_num_seqs",
            64,
        ),
        (
            {"actor_rollout_ref": {"rollout": {"enable_sleep_mode": False}}},
            "actor_rollout_ref.rollout.enable_sleep_mode",
            False,
        ),
        (
            {"actor_rollout_ref": {"rollout": {"engine_kwargs": {"cpu": {"log": "x"}}}}},
            "actor_rollout_ref.rollout.engine_kwargs.cpu.log",
            "x",
        ),
        (
            {"actor_rollout_ref": {"rollout": {"max_model_len": 4096}}},
            "actor_rollout_ref.rollout.max_model_len",
            4096,
        ),
    ],
    ids=["a key", "another", "a field no file names", "a free group", "a starting value of ours"],
)
def test_verls_own_settings_pass_through(built, verl, key, value):
    from omegaconf import OmegaConf

    assert OmegaConf.select(built(verl), key) == value


@pytest.mark.verl
@pytest.mark.parametrize(
    ("verl", "said"),
    [
        (
            {"actor_rollout_ref": {"actor": {"optim": {"lr": 1}}}},
            "backend.verl.actor_rollout_ref.actor.optim.lr is decided by optimisation.rl.learning_rate; set that",
        ),
        (
            {"actor_rollout_ref": {"rollout": {"n": 4}}},
            "backend.verl.actor_rollout_ref.rollout.n is decided by method.rollouts; set that",
        ),
        (
            {"trainer": {"resume_mode": "auto"}},
            "backend.verl.trainer.resume_mode is decided by this suite, which rests on it",
        ),
        ({"actor_rollout_ref": {"actor": {"optim": None}}}, "actor.optim is decided by"),
        (
            {"actor_rollout_ref": {"rollout": {"max_num_seq": 4}}},
            "did you mean 'actor_rollout_ref.rollout.max_num_seqs'?",
        ),
        ({"trainr": {"log_val_generations": 1}}, "did you mean 'trainer.log_val_generations'?"),
        ({"global_profiler": {"global_tool_config": 3}}, "is a group of settings; set one of them"),
    ],
    ids=[
        "a setting of ours",
        "rollouts",
        "the suite's",
        "a group with ours in it",
        "a typo",
        "a group's typo",
        "a group",
    ],
)
def test_other_keys_are_refused(built, verl, said):
    with pytest.raises(SettingsError) as refused:
        built(verl)
    assert said in str(refused.value)


@pytest.mark.verl
def test_composing_imports_nothing_heavy():
    pytest.importorskip("verl", reason="verl is not installed: make verl")
    code = (
        "import sys; from prefix_rft.verl_backend.config import load; load('ppo_trainer'); "
        "print([name for name in ('torch', 'ray', 'verl', 'tensordict') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


@pytest.mark.verl
@pytest.mark.parametrize("device", [{}, {"dtype": "float32", "attention": "eager", "offload": True}])
def test_verls_own_classes_take_every_key(built, device):
    """A key that the files lack and the classes do not know would fail an hour later, in a worker."""
    pytest.importorskip("verl", reason="verl is not installed: make verl")
    from verl.utils.config import omega_conf_to_dataclass

    composed = built(**device)
    actor = omega_conf_to_dataclass(composed.actor_rollout_ref.actor)
    rollout = omega_conf_to_dataclass(composed.actor_rollout_ref.rollout)
    assert actor.optim.override_optimizer_config["updates"] == 1000
    assert actor.engine.mixed_precision["param_dtype"] == ("fp32" if device else "bf16")
    assert (rollout.n, rollout.max_model_len) == (8, 48)
