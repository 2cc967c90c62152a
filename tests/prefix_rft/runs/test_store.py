"""The folder of runs: created once, found by the beginning of an id, never mixed up."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from prefix_rft.errors import RunError
from prefix_rft.runs.identity import chain, evaluation_folder, train_identity
from prefix_rft.runs.lock import RunLock
from prefix_rft.runs.state import StateWriter
from prefix_rft.runs.store import RunDir, Store
from prefix_rft.settings import RunConfig

MakeConfig = Callable[..., RunConfig]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


def _create(store: Store, config: RunConfig) -> RunDir:
    return store.create(train_identity(config), config)


def test_a_run_comes_back_as_it_was_made(store: Store, make_config: MakeConfig) -> None:
    config = make_config(seed=3, optimisation={"rl": {"learning_rate": 1e-6}}, sweep="main")
    run = _create(store, config)
    again = store.open(run.id)
    assert again.config() == config
    assert again.identity() == train_identity(config)
    assert again.kind == "train"
    assert again.state().status == "new"
    assert (again.metrics(), again.checkpoints()) == ([], [])
    assert [event["event"] for event in again.events()] == ["created"]
    assert again.evaluation("test", config) == run.path / "eval" / "test" / evaluation_folder(config)


def test_a_base_run_is_shared(store: Store, make_config: MakeConfig) -> None:
    folders = {
        store.create(chain(make_config(name))[0].identity, make_config(name)).path for name in ("sft", "rft")
    }
    assert len(folders) == 1
    assert store.runs()[0].kind == "base"
    assert store.runs()[0].config() == make_config("rft")


def test_foreign_and_half_made_folders_are_left_out(store: Store, make_config: MakeConfig) -> None:
    assert store.runs() == []
    run = _create(store, make_config())
    for name in ("notes", ".tmp-0123456789ab-x", "0123456789ab", "report"):
        (store.root / name).mkdir()
    (store.root / "fedcba987654").write_text("a file")
    assert store.runs() == [run]


def test_a_run_is_found_by_the_beginning_of_its_id(store: Store, make_config: MakeConfig) -> None:
    runs = [_create(store, make_config(seed=seed)) for seed in range(20)]
    assert store.find(runs[0].id[:10]) == runs[0]
    with pytest.raises(RunError, match="the beginning of several runs"):
        store.find("")
    wrong = runs[0].id[:10] + "zz"
    with pytest.raises(RunError, match=f"no run '{wrong}' among the 20 in .*Nearest: .*{runs[0].id}"):
        store.find(wrong)


def test_asking_again_writes_nothing(store: Store, make_config: MakeConfig) -> None:
    run = _create(store, make_config())
    before = {path: path.stat().st_mtime_ns for path in run.path.iterdir()}
    assert _create(store, make_config()) == run
    assert {path: path.stat().st_mtime_ns for path in run.path.iterdir()} == before


def test_an_unfinished_run_takes_over_settings_that_do_not_count(
    store: Store, make_config: MakeConfig
) -> None:
    run = _create(store, make_config())
    smaller = make_config(backend={"micro_batch_tokens": 1024})
    assert train_identity(smaller).id == run.id
    with RunLock(run.path):
        _create(store, smaller)
        assert run.config() == make_config()
    _create(store, smaller)
    assert run.config() == smaller
    assert run.events()[-1]["keys"] == ["backend.micro_batch_tokens"]
    StateWriter(run.path).done()
    _create(store, make_config())
    assert run.config() == smaller


def test_an_edited_configuration_is_noticed(store: Store, make_config: MakeConfig) -> None:
    run = _create(store, make_config(seed=1))
    path = run.path / "config.yaml"
    path.write_text(path.read_text().replace("seed: 1\n", "seed: 2\n"))
    with pytest.raises(RunError, match="settings that count were edited"):
        run.config()
    with pytest.raises(RunError, match="settings that count were edited"):
        _create(store, make_config(seed=1))


def test_a_copied_run_is_noticed(store: Store, make_config: MakeConfig) -> None:
    one, two = (_create(store, make_config(seed=seed)) for seed in (1, 2))
    shutil.copy(one.path / "identity.json", two.path / "identity.json")
    with pytest.raises(RunError, match=f"names run {one.id}, not {two.id}"):
        _create(store, make_config(seed=2))


def test_an_identity_that_was_edited_or_is_of_another_format_is_noticed(run: RunDir) -> None:
    path = run.path / "identity.json"
    fields = json.loads(path.read_text())
    fields["counts"]["settings"]["seed"] = 9
    path.write_text(json.dumps(fields))
    with pytest.raises(RunError, match="the file was changed"):
        run.identity()
    path.write_text(json.dumps({**fields, "format": 0}))
    with pytest.raises(RunError, match="not an identity of format 1"):
        run.identity()


@pytest.mark.parametrize("content", ["", "a: [", "- 1"])
def test_a_damaged_configuration_is_named(run: RunDir, content: str) -> None:
    (run.path / "config.yaml").write_text(content)
    with pytest.raises(RunError, match=r"config\.yaml"):
        run.config()


CREATE = """
import sys
from prefix_rft.runs.identity import train_identity
from prefix_rft.runs.store import Store
from prefix_rft.settings import RunConfig, parse
for seed in range(30):
    values = {"method": {"name": "rft"}, "model": {"kind": "tiny"}, "data": {"kind": "chain"}, "seed": seed}
    config = parse(RunConfig, values)
    Store(sys.argv[1]).create(train_identity(config), config)
"""


def test_two_processes_create_the_same_runs(store: Store) -> None:
    command = [sys.executable, "-c", CREATE, str(store.root)]
    processes = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    assert len(store.runs()) == 30
    assert len(os.listdir(store.root)) == 30
    assert all([event["event"] for event in run.events()] == ["created"] for run in store.runs())


def test_a_full_disk_makes_no_run(small_disk: Path, make_config: MakeConfig) -> None:
    (small_disk / "filler").write_bytes(bytes((256 - 4) * 1024))
    with pytest.raises(RunError, match="No space left on device"):
        _create(Store(small_disk), make_config())
    assert os.listdir(small_disk) == ["filler"]


def test_planning_imports_neither_torch_nor_wandb_nor_pandas() -> None:
    script = (
        "import sys, prefix_rft.runs.store, prefix_rft.runs.provenance, prefix_rft.runs.tracking,"
        " prefix_rft.runs.mirror; print(*{'torch', 'wandb', 'pandas', 'ray', 'hydra'} & set(sys.modules))"
    )
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert output.strip() == ""
