"""A verl that is missing, of another version or with other methods is refused by name, before anything starts."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError

import pytest

from prefix_rft.errors import TrainingError
from prefix_rft.settings import VerlBackend
from prefix_rft.verl_backend import guard
from prefix_rft.verl_backend.guard import (
    SEAMS,
    Seam,
    check_devices,
    check_verl,
    check_versions,
    signature_of,
)

FITTING = {
    "verl": "0.9.1",
    "hydra-core": "1.3.8",
    "tensordict": "0.10.0",
    "TransferQueue": "0.1.11",
    "ray": "2.60.0",
}


@pytest.fixture
def packages(monkeypatch):
    """What is installed, to be changed by a test."""
    found = dict(FITTING)

    def version(package: str) -> str:
        if package not in found:
            raise PackageNotFoundError(package)
        return found[package]

    monkeypatch.setattr(guard, "version", version)
    return found


def test_what_fits_passes(packages):
    check_versions()
    packages["verl"] = "0.9.1+local"
    check_versions()


def test_without_verl_the_install_command_is_named(packages):
    del packages["verl"]
    with pytest.raises(TrainingError) as refused:
        check_versions()
    assert "pip install 'prefix-rft[verl]' -c requirements/lock.txt" in str(refused.value)


@pytest.mark.parametrize(
    ("package", "version"),
    [
        ("verl", "0.9.2"),
        ("verl", "0.9.10"),
        ("hydra-core", "1.4.0rc3"),
        ("tensordict", "0.9.1"),
        ("ray", "3.0"),
    ],
)
def test_another_version_is_named_with_the_one_that_is_needed(packages, package, version):
    packages[package] = version
    with pytest.raises(TrainingError, match=rf"{package} {version}, but .* is needed: .*pip install"):
        check_versions()


def test_a_missing_transfer_queue_is_named(packages):
    del packages["TransferQueue"]
    with pytest.raises(TrainingError, match=r"TransferQueue is missing.*verl's trainer imports it"):
        check_versions()


def test_gpus_that_are_not_there_are_counted(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    check_devices(VerlBackend(devices_per_node=2))
    check_devices(VerlBackend(devices_per_node=8, ray_address="auto"))
    with pytest.raises(TrainingError, match=r"backend\.devices_per_node=8: PyTorch sees 2 CUDA devices"):
        check_devices(VerlBackend())


def test_signatures_are_compared_without_annotations():
    def method(self, batch: int, *, keep: bool = False, **rest: object) -> None: ...

    assert signature_of(method) == "(self, batch, *, keep=False, **rest)"


def test_the_argument_that_ray_adds_is_left_out():
    def run(self, config, _ray_trace_ctx=None): ...

    assert signature_of(run) == "(self, config)"


def test_a_changed_signature_is_named_with_both(packages, monkeypatch):
    seam = Seam("json:JSONEncoder.encode", "(self, o)", "writing")
    check_verl([seam])
    monkeypatch.setattr(json.JSONEncoder, "encode", lambda self, o, deep=False: "")
    with pytest.raises(TrainingError) as refused:
        check_verl([seam])
    said = str(refused.value)
    assert "json:JSONEncoder.encode (writing): expected (self, o), found (self, o, deep=False)" in said
    assert "docs/verl.md" in said


@pytest.mark.parametrize("name", ["json:JSONEncoder.gone", "json.nowhere:x"])
def test_a_name_that_is_gone_is_named(packages, name):
    with pytest.raises(TrainingError, match=rf"{name} \(writing\) cannot be had"):
        check_verl([Seam(name, None, "writing")])


def test_no_seam_stands_twice():
    assert len({seam.name for seam in SEAMS}) == len(SEAMS)


@pytest.mark.verl
def test_the_installed_verl_is_the_one_expected(monkeypatch):
    pytest.importorskip("verl", reason="verl is not installed: make verl")
    check_verl()
    from verl.trainer.ppo.v1.trainer_base import PPOTrainer

    monkeypatch.setattr(PPOTrainer, "_next_train_batch", lambda self: None)
    with pytest.raises(
        TrainingError, match=r"_next_train_batch .*expected \(self, num_prompts=None\), found \(self\)"
    ):
        check_verl()
