"""Where a run runs: what contradicts itself is refused, and what lies beside verl is the embedded policy."""

from __future__ import annotations

from typing import Any

import pytest

from prefix_rft.errors import SettingsError
from prefix_rft.settings import LocalBackend, RunConfig, VerlBackend, base_backend, embedded, parse
from prefix_rft.settings.backend import TEST_PLUGIN


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"device": "cpu"}, f"device=cpu needs a plugin.*set plugin={TEST_PLUGIN}"),
        ({"plugin": f"{TEST_PLUGIN}.other"}, "is for device=cpu; verl itself knows GPUs"),
        ({"devices_per_node": 8, "tensor_parallel": 3}, "tensor_parallel=3 must divide .* = 8"),
        ({"nodes": 4}, r"nodes=4 needs a Ray cluster that spans them: .*ray_address=auto"),
        ({"ray_address": "auto", "ray_cpus": 4}, "ray_cpus says how large a cluster of our own is"),
        ({"gpu_memory_utilization": 1.0}, "less than 1"),
        ({"devices": 8}, "there is no such setting"),
    ],
    ids=["no CPU in verl", "plugin on a GPU", "tensor parallel", "nodes", "cpus", "memory", "unknown"],
)
def test_what_contradicts_itself_is_refused(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        parse(VerlBackend, values)


def test_a_plugin_for_other_devices_is_left_alone() -> None:
    assert VerlBackend(plugin="somebody.platform").plugin == "somebody.platform"
    assert VerlBackend(nodes=4, ray_address="10.0.0.1:6379").nodes == 4


def test_an_unknown_backend_is_named_with_the_choices() -> None:
    values = {"method": {"name": "rft"}, "model": {"kind": "tiny"}, "data": {"kind": "chain"}}
    with pytest.raises(SettingsError, match=r"unknown kind 'deepspeed'.*Known: local, verl"):
        parse(RunConfig, {**values, "backend": {"kind": "deepspeed"}})


def test_local_is_the_default_and_needs_no_name() -> None:
    values = {"method": {"name": "rft"}, "model": {"kind": "tiny"}, "data": {"kind": "chain"}}
    assert parse(RunConfig, {**values, "backend": {"generation_batch": 7}}).backend == LocalBackend(
        generation_batch=7
    )


def test_what_verl_trained_is_evaluated_by_the_embedded_policy() -> None:
    backend = VerlBackend(device="cpu", plugin=TEST_PLUGIN, dtype="float32", generation_batch=7)
    assert embedded(backend) == LocalBackend(device="cpu", dtype="float32", generation_batch=7)
    assert embedded(LocalBackend(device="cuda")) == LocalBackend(device="cuda")


def test_base_models_are_made_on_the_cpu_beside_verl() -> None:
    assert base_backend(VerlBackend()) == LocalBackend()
    assert base_backend(LocalBackend(device="cuda")) == LocalBackend(device="cuda")
