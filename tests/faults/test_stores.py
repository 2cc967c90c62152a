"""Every kind of file of a real store, damaged in every way: said by name with a way out, or put right without a word.

Two stores are damaged: one whose runs are done, and one whose runs were cut off on their way. A file that none of
`KINDS` names fails the test: whoever adds a kind of file says here what its damage comes to.
"""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import analysis.cache as cache
from analysis.reading import read_run
from analysis.results import frames
from eval.results import read_scores
from eval.samples import SAMPLES, VERDICTS, Sample, read_rows, read_table
from eval.shelf import Shelf
from experiments import worker
from experiments.cluster import launch
from experiments.cluster.launch import Asked, submit_cells
from experiments.cluster.requests import Requests
from experiments.compose import compose_all
from experiments.execute import is_complete
from experiments.plan import Plan, Task, plan
from experiments.stages import trained_model
from experiments.worker import log_path
from prefix_rft.errors import PrefixRftError
from prefix_rft.runs.state import StateWriter
from prefix_rft.runs.store import Store
from prefix_rft.stop import StopFlag
from slurm.errors import SlurmError
from slurm.testing.fake import FakeSlurm

pytestmark = pytest.mark.slow

RUN, CHECKPOINT, EVALUATION = "[0-9a-f]{12}", "checkpoints/step_[0-9]+", "eval/[^/]+/[^/]+"
KINDS = {
    "identity": rf"{RUN}/identity\.json",
    "settings": rf"{RUN}/config\.yaml",
    "state": rf"{RUN}/state\.json",
    "events": rf"{RUN}/events\.jsonl",
    "provenance": rf"{RUN}/provenance\.json",
    "metrics": rf"{RUN}/metrics\.jsonl",
    "rollouts": rf"{RUN}/samples\.jsonl",
    "seals": rf"{RUN}/seals\.json",
    "log and lock": rf"{RUN}/run\.(log|lock)",
    "training's marker": rf"{RUN}/markers/train\.json",
    "weights": rf"{RUN}/{CHECKPOINT}/model\.safetensors",
    "optimizer": rf"{RUN}/{CHECKPOINT}/optimizer\.safetensors",
    "model's files": rf"{RUN}/{CHECKPOINT}/(config|generation_config|tokenizer|tokenizer_config)\.json",
    "manifest": rf"{RUN}/{CHECKPOINT}/manifest\.json",
    "protocol": rf"{RUN}/{EVALUATION}/protocol\.json",
    "samples": rf"{RUN}/{EVALUATION}/samples\.parquet",
    "parts of samples": rf"{RUN}/{EVALUATION}/samples\.parts/part-\d+\.parquet",
    "verdicts": rf"{RUN}/{EVALUATION}/verdicts\.parquet",
    "scores": rf"{RUN}/{EVALUATION}/scores\.json",
    "evaluation's marker": rf"{RUN}/{EVALUATION}/done\.json",
    "frames": r"\.frames/runs",
    "book of jobs": r"slurm/arrays\.jsonl",
    "requests": rf"slurm/(requests/{RUN}\.json|submit\.lock)",
    "request of the report": r"slurm/requests/aggregate-[^/]+\.json",
    "jobs": r"slurm/arrays/[^/]+/(script\.sh|tasks\.json)",
}
SETTINGS = (
    "tracking=disabled",
    "model.base_seed=3",
    *(f"optimisation.rl.{setting}" for setting in ("steps=4", "questions_per_step=4", "checkpoint_every=1")),
    *(
        f"optimisation.sft.{setting}"
        for setting in ("epochs=2", "questions_per_step=16", "checkpoint_every=1")
    ),
    *(f"optimisation.{phase}.validate_every=2" for phase in ("rl", "sft")),
    *(f"data.{split}_questions={count}" for split, count in (("train", 32), ("validation", 4), ("test", 4))),
    *(f"evaluation.{setting}" for setting in ("protocol=tiny", "samples=4", "pass_at=[1]")),
    *(f"model.{phase}_steps={n}" for phase, n in (("single", 0), ("skill", 0), ("polish", 2), ("habit", 2))),
    *(f"model.architecture.{size}" for size in ("hidden_size=16", "intermediate_size=32", "layers=1")),
)


def planned(root: Path) -> Plan:
    return plan(compose_all([[*SETTINGS, f"method={name}", f"store={root}"] for name in ("sft", "rft")]))


def ask(root: Path) -> list[str]:
    """Ask for every run, here and on a cluster, and look at all of them; what was said of troubles."""
    said, store, tasks = [], Store(root), planned(root).tasks
    requests = Requests(store)
    if (root / "slurm").exists():
        said += _attempt(lambda: submit_cells([task.config for task in tasks], Asked("sandbox")))
        said += _attempt(
            lambda: [requests.read(task.id) for task in tasks if requests.path(task.id).exists()]
        )
    for task in tasks:
        said += _attempt(lambda task=task: _do(store, task))
        said += _attempt(lambda task=task: trained_model(store.open(task.id)))
        said += [read_run(store, task.id, {"test": None}).damage]
    said += _attempt(lambda: frames(store))
    return [text for text in dict.fromkeys(said) if text]


def _do(store: Store, task: Task) -> None:
    run = store.create(task.run.identity, task.config)
    if is_complete(run, task):
        return
    request = worker.Request(run.id, task.run.parent_id, task.config, task.asked)
    if worker.work_on(request) != 0:
        error = run.state().error
        raise RuntimeError(error.message if error else "not done, and nobody says why")


def _attempt(act: Callable[[], object]) -> list[str]:
    try:
        act()
    except (PrefixRftError, SlurmError, RuntimeError) as error:
        return [f"{type(error).__name__}: {error}"]
    return []


def numbers(root: Path) -> dict[str, Any]:
    """All that must come out the same: weights, metrics, samples, verdicts, scores."""
    found: dict[str, Any] = {}
    for run in Store(root).runs():
        rows = [{k: v for k, v in row.items() if not k.startswith("time/")} for row in run.metrics()]
        model = trained_model(run)
        names = ("model.safetensors", "optimizer.safetensors", "config.json", "tokenizer.json")
        content = [(model / name).read_bytes() for name in names if (model / name).exists()]
        (folder,) = run.path.glob("eval/test/*")
        tables = [
            read_table(folder / f"{kind.name}.parquet", kind).to_pylist() for kind in (SAMPLES, VERDICTS)
        ]
        found[run.id] = (model.name, rows, read_scores(folder), content, tables)
    return found


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scripted cluster, files that count as settled at once, and this process's own signal handlers."""
    monkeypatch.setattr(launch, "Slurm", FakeSlurm)
    monkeypatch.setattr(launch, "code", lambda store: store.root / "snapshot")
    monkeypatch.setattr(StopFlag, "listen", lambda flag: flag)
    monkeypatch.setattr(cache, "file_system_clock", lambda folder: folder.mkdir(exist_ok=True) or 1 << 62)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose three runs are done; made in the folder `runs`, where every copy is put for its test."""
    return tmp_path_factory.mktemp("made") / "runs"


def make_done(root: Path) -> None:
    assert ask(root) == []
    for run in Store(root).runs():
        log_path(run).write_text("what the run said\n")
    assert ask(root) == []


def cut(root: Path) -> None:
    """One run lacks its last step and its evaluation, another half of its samples; jobs were asked for."""
    store = Store(root)
    training, evaluating = (task.id for task in planned(root).tasks[1:])
    run = store.open(training)
    (run.path / "markers" / "train.json").unlink()
    shutil.rmtree(run.path / "checkpoints" / "step_4")
    shutil.rmtree(run.path / "eval")
    (folder,) = store.open(evaluating).path.glob("eval/test/*")
    rows: list[Sample] = next(read_rows(folder / "samples.parquet", SAMPLES))
    for name in ("samples.parquet", "verdicts.parquet", "scores.json", "done.json"):
        (folder / name).unlink()
    for half in (rows[:4], rows[4:8]):
        Shelf(folder, SAMPLES).add(half)
    for run_id in (training, evaluating):
        StateWriter(store.path(run_id)).running("train")
    submit_cells([task.config for task in planned(root).tasks], Asked("sandbox"))


ALIKE = ("samples", "parts of samples")
"""Of the same questions in every run: that a whole file of another run was copied there, nothing in it says."""
Damage = Callable[[bytes, random.Random], bytes]
DAMAGES: dict[str, Damage] = {
    "empty": lambda content, chance: b"",
    "truncated": lambda content, chance: content[: len(content) // 2],
    "short by a byte": lambda content, chance: content[:-1],
    "torn": lambda content, chance: content + b'{"step": 3, "ki',
    "zeroed": lambda content, chance: bytes(len(content)),
    **{f"flipped {number}": lambda content, chance: _flipped(content, chance) for number in range(2)},
}
"""What a disk, a machine without power and a person make of a file; `gone` and `stale` besides."""


OFTEN = ("truncated", "torn", "flipped 0")
"""Of a store that was cut off, where every case costs the rest of its runs."""


def _flipped(content: bytes, chance: random.Random) -> bytes:
    if not content:
        return b"\1"
    changed = bytearray(content)
    changed[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def spoilt(root: Path, name: str, how: str) -> bool:
    """Damage one file; False where there is nothing to damage it with."""
    path = root / name
    if how == "gone":
        path.unlink()
    elif how == "stale":
        kind = next(pattern for pattern in KINDS.values() if re.fullmatch(pattern, name))
        others = [other for other in files(root) if re.fullmatch(kind, other) and other != name]
        if not others:
            return False
        path.write_bytes((root / others[0]).read_bytes())
    else:
        path.write_bytes(DAMAGES[how](path.read_bytes(), random.Random(f"{name.partition('/')[2]} {how}")))
    return True


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


_folder = shutil.rmtree
WAYS_OUT: tuple[tuple[str, Callable[[Path], object]], ...] = (
    ("delete both", lambda path: [path.with_name(f).unlink() for f in ("verdicts.parquet", "scores.json")]),
    ("delete that folder|delete it; training", lambda path: _folder(path.parent)),
    ("delete it and the folder", lambda path: (path.unlink(True), _folder(path.parent / "checkpoints"))),
    ("delete (that|this|the) file|remove (that|the) line", lambda path: path.unlink(True)),
    (
        r"delete (its|their) folder|delete (the run|\S+) to (run it|start) afresh",
        lambda path: _folder(path.parent),
    ),
)
"""What a message can tell to do, and that done."""


def follow(said: list[str], path: Path) -> None:
    """Do what the messages say."""
    acts = [act for pattern, act in WAYS_OUT if any(re.search(pattern, text, re.I) for text in said)]
    assert acts, f"no way out is named: {said}"
    acts[0](path)


@pytest.fixture
def stores(done: Path, tmp_path: Path) -> dict[str, Path]:
    """The store that is done, and the one that was cut off."""
    if not done.exists():
        make_done(done)
        shutil.copytree(done, done.with_name("cut"))
        cut(done.with_name("cut"))
    return {"done": done, "cut": done.with_name("cut")}


def test_every_file_is_of_a_known_kind_and_every_kind_is_there(stores: dict[str, Path]) -> None:
    found = {
        name: [kind for kind, pattern in KINDS.items() if re.fullmatch(pattern, name)]
        for root in stores.values()
        for name in files(root)
    }
    assert [name for name, kinds in found.items() if len(kinds) != 1] == []
    assert {kind for kinds in found.values() for kind in kinds} == KINDS.keys()


def test_what_was_cut_off_comes_to_the_same_end(stores: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(stores["cut"], tmp_path / "runs")
    assert ask(tmp_path / "runs") == []
    assert numbers(tmp_path / "runs") == numbers(stores["done"])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("state", ["done", "cut"])
def test_a_damaged_file(state: str, kind: str, stores: dict[str, Path], tmp_path: Path) -> None:
    wanted = numbers(stores["done"])
    names = [name for name in files(stores[state]) if re.fullmatch(KINDS[kind], name)]
    for name in random.Random(kind).sample(names, min(1, len(names))):
        for how in (*(DAMAGES if state == "done" else OFTEN), "gone", *(() if kind in ALIKE else ("stale",))):
            root = tmp_path / "runs"
            shutil.rmtree(root, ignore_errors=True)
            shutil.copytree(stores[state], root)
            if spoilt(root, name, how):
                _is_said_or_put_right(root, name, how, wanted)


def _is_said_or_put_right(root: Path, name: str, how: str, wanted: dict[str, Any]) -> None:
    said, found = ask(root), {}
    said = said or _attempt(lambda: found.update(numbers(root)))
    print(f"{name} {how}: {said or 'put right'}")
    if not said:
        assert found == wanted, (name, how)
        return
    named = (Path(name).name, f"/{Path(name).parent} ")
    assert any(part in text for text in said for part in named), (name, how, said)
    follow(said, root / name)
    assert ask(root) == [], (name, how, said)
    assert numbers(root) == wanted, (name, how, said)
