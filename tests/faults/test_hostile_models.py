"""Model folders and checkpoints from somebody else: nothing in them runs, whatever they hold."""

from __future__ import annotations

import ast
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from prefix_rft.data.encode import load_encoder
from prefix_rft.data.schema import Message
from prefix_rft.errors import CheckpointError, DataError, TrainingError
from prefix_rft.local.optimizer import Optimizer
from prefix_rft.local.policy import load_policy
from prefix_rft.settings import LocalBackend, RlPhase
from prefix_rft.verl_backend.checkpoints import refuse_code

MakeJob = Callable[..., Any]
ROOT = Path(__file__).parents[2]
CODE = "from pathlib import Path\nPath({target!r}).touch()\nclass Model: pass\nclass Config: pass\nclass Tokens: pass\n"


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return Path.touch, (self.target,)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """The file that hostile code makes."""
    return tmp_path / "ran"


@pytest.fixture
def folder(tmp_path: Path, model_path: Path) -> Path:
    """A copy of a good model."""
    return Path(shutil.copytree(model_path, tmp_path / "model"))


def test_the_payload_is_one(target: Path) -> None:
    pickle.loads(pickle.dumps(Payload(target)))
    assert target.exists()


@pytest.mark.parametrize("fast_path", ["auto", "off"])
@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "model.safetensors", "pytorch_model-00001-of-00001.bin"]
)
def test_weights_that_are_a_pickle_are_refused(folder: Path, target: Path, name: str, fast_path: Any) -> None:
    (folder / "model.safetensors").unlink()
    torch.save(Payload(target), folder / name)
    if "-of-" in name:
        index = {"metadata": {}, "weight_map": {"model.norm.weight": name}}
        (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    with pytest.raises((CheckpointError, TrainingError), match=r"safetensors|deserializing header"):
        load_policy(folder, LocalBackend(fast_path=fast_path))
    assert not target.exists()


def test_pickles_beside_a_checkpoint_are_not_looked_at(make_job: MakeJob, target: Path) -> None:
    job = make_job(optimisation={"rl": {"steps": 2, "questions_per_step": 6, "checkpoint_every": 1}})
    job.finish_here()
    newest = job.run.checkpoints()[-1].path
    for name in ("optimizer.pt", "training_args.bin", "pytorch_model.bin", "rng.pkl", "scheduler.pt"):
        torch.save(Payload(target), newest / name)
    shutil.rmtree(job.run.path / "markers")
    job.finish_here()
    assert not target.exists()


def test_an_optimizer_state_that_is_a_pickle_is_refused(
    model_path: Path, tmp_path: Path, target: Path
) -> None:
    torch.save(Payload(target), tmp_path / "optimizer.safetensors")
    optimizer = Optimizer(load_policy(model_path, LocalBackend()), RlPhase(), 1)
    with pytest.raises(CheckpointError, match=r"optimizer\.safetensors cannot be read .*delete"):
        optimizer.load(tmp_path / "optimizer.safetensors")
    assert not target.exists()


def test_shards_of_verl_that_would_run_code_are_refused_before_verl_sees_them(
    tmp_path: Path, target: Path
) -> None:
    shards = tmp_path / "step_3" / "verl"
    shards.mkdir(parents=True)
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.AdamW([weight])
    weight.sum().backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    torch.save({"w": weight.detach()}, shards / "model_world_size_1_rank_0.pt")
    torch.save(optimizer.state_dict(), shards / "optim_world_size_1_rank_0.pt")
    torch.save(
        {"rng": _random_states(), "lr_scheduler": {"step": 3}}, shards / "extra_state_world_size_1_rank_0.pt"
    )
    refuse_code(shards)
    torch.save({"state": Payload(target)}, shards / "optim_world_size_1_rank_0.pt")
    with pytest.raises(
        CheckpointError, match=r"optim_world_size_1_rank_0\.pt would run code .*pathlib.*delete"
    ):
        refuse_code(shards)
    (shards / "optim_world_size_1_rank_0.pt").write_bytes(pickle.dumps(Payload(target)))
    with pytest.raises(CheckpointError, match=r"optim_world_size_1_rank_0\.pt would run code"):
        refuse_code(shards)
    assert not target.exists()


def _random_states() -> dict[str, Any]:
    """As verl keeps them."""
    import random

    import numpy as np

    return {"cpu": torch.get_rng_state(), "numpy": np.random.get_state(), "random": random.getstate()}


def _edit(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


@pytest.mark.parametrize("fast_path", ["auto", "off"])
def test_code_beside_a_model_does_not_run(folder: Path, target: Path, fast_path: Any) -> None:
    (folder / "evil.py").write_text(CODE.format(target=str(target)))
    auto_map = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}
    _edit(folder / "config.json", auto_map=auto_map, custom_generate="evil.py")
    load_policy(
        folder, LocalBackend(fast_path=fast_path)
    )  # its architecture is one that transformers has itself
    _edit(folder / "config.json", model_type="evil", architectures=["Model"])
    with pytest.raises(TrainingError, match="cannot load"):
        load_policy(folder, LocalBackend(fast_path="off"))
    assert not target.exists()


def test_code_beside_a_tokenizer_does_not_run(folder: Path, target: Path) -> None:
    (folder / "evil.py").write_text(CODE.format(target=str(target)))
    (folder / "tokenizer.json").unlink()
    auto_map = {"AutoTokenizer": ["evil.Tokens", "evil.Tokens"]}
    _edit(folder / "tokenizer_config.json", auto_map=auto_map, tokenizer_class="Tokens")
    with pytest.raises(DataError, match="no tokenizer"):
        load_encoder(folder)
    assert not target.exists()


REACHES_OUT = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
IMPORTS = "{{ self.__init__.__globals__.__builtins__.__import__('os').system('touch ' + '%s') }}"


@pytest.mark.parametrize("template", [REACHES_OUT, IMPORTS])
def test_a_chat_template_reaches_nothing(tmp_path: Path, target: Path, template: str) -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    made = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel({"a": 0, "</s>": 1})), eos_token="</s>"
    )
    made.chat_template = template.replace("%s", str(target))
    made.save_pretrained(tmp_path / "tokens")
    with pytest.raises(DataError, match=r"chat template .*unsafe.*model\.template=plain"):
        load_encoder(tmp_path / "tokens").render([Message(role="user", content="1+1")])
    assert not target.exists()


ROOMS = ("prefix_rft", "eval", "experiments", "analysis", "slurm", "benchmarks", "examples", "hydra_plugins")


def test_no_code_of_ours_unpickles_or_evaluates() -> None:
    """torch.load takes weights only, YAML a safe loader; nothing else that runs what it reads is used."""
    found = [
        f"{file.relative_to(ROOT)}:{call.lineno}: {ast.unparse(call)}"
        for room in ROOMS
        for file in sorted((ROOT / room).rglob("*.py"))
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and _is_dangerous(call)
    ]
    assert found == []


def _is_dangerous(call: ast.Call) -> bool:
    name = ast.unparse(call.func)
    said = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    if name == "torch.load":
        return said.get("weights_only") != "True"
    if name == "yaml.load":
        return said.get("Loader") != "_Loader"  # looked at below
    if name in ("np.load", "numpy.load"):
        return "allow_pickle" in said
    forbidden = {
        "eval",
        "exec",
        "os.system",
        "pickle.load",
        "pickle.loads",
        "pickle.Unpickler",
        "cloudpickle.loads",
    }
    shell = name.startswith("subprocess.") and said.get("shell") == "True"
    return (
        name in forbidden
        or name.endswith(("read_pickle", "joblib.load", "yaml.unsafe_load", "yaml.full_load"))
        or shell
    )


def test_our_yaml_loader_makes_plain_values_only(target: Path) -> None:
    from prefix_rft.plain_yaml import _Loader

    assert issubclass(_Loader, yaml.SafeLoader | yaml.CSafeLoader)
    with pytest.raises(yaml.YAMLError):
        yaml.load(f"!!python/object/apply:os.mkdir ['{target}']", Loader=_Loader)
    assert not target.exists()
