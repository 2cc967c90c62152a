"""`prefix-rft prepare-model`: by the name of a configured model, and by folder."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from experiments.commands.prepare_model import prepare
from experiments.compose import compose
from prefix_rft.data.scratch import train_scratch_tokenizer
from prefix_rft.errors import DataError, SettingsError
from prefix_rft.local.initial import write_random_model
from prefix_rft.models import ready
from prefix_rft.settings import Architecture, PretrainedModel


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A tiny model that states what Qwen2.5-Math states."""
    folder = tmp_path / "source"
    shape = Architecture(
        hidden_size=16, layers=1, heads=2, key_value_heads=1, max_positions=4096, rope_theta=1e4
    )
    write_random_model(folder, shape, vocabulary=280, eos_id=1, pad_id=0, seed=0)
    train_scratch_tokenizer(["What is 2 + 2? It is 4."], 280, folder)
    return folder


def run(*arguments: object, **options: object) -> tuple[int, str]:
    out = io.StringIO()
    code = prepare(*arguments, **options, console=Console(file=out, width=160))  # type: ignore[arg-type]
    return code, out.getvalue()


def test_it_prints_every_change_and_where_the_folder_is(source: Path, tmp_path: Path) -> None:
    code, said = run(str(source), tmp_path / "m")
    assert code == 0
    lines = [line.split() for line in said.splitlines()]
    assert ["config.json", "max_position_embeddings", "4096", "16384"] in lines
    assert ["config.json", "rope_theta", "10000.0", "40000.0"] in lines
    assert f"train from it with model.path={tmp_path / 'm'}" in said
    assert json.loads((tmp_path / "m" / "config.json").read_text())["max_position_embeddings"] == 16384
    assert "was prepared before, in the same way" in run(str(source), tmp_path / "m")[1]


def test_a_configured_model_says_its_source_and_its_folder(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `scale=paper` starts from is what this command makes; here with a tiny model in the place of the hub's."""
    asked: list[str] = []

    def folder(name: str, *_: object) -> Path:
        asked.append(name)
        return source

    monkeypatch.setattr("prefix_rft.models.prepare.model_folder", folder)
    monkeypatch.chdir(tmp_path)
    assert run("qwen2.5-math-1.5b", None)[0] == 0
    assert set(asked) == {"Qwen/Qwen2.5-Math-1.5B"}
    config = compose(["scale=paper", "model=qwen2.5-math-1.5b"])
    assert isinstance(config.model, PretrainedModel)
    assert Path(config.model.path).is_dir()
    ready.check_ready(config, config.model.path)


def test_unknown_choices_are_refused_with_the_known_ones(source: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="Known: keep, luffy, plain"):
        run(str(source), tmp_path / "m", template="chatml")
    with pytest.raises(SettingsError, match="Known: copy, link"):
        run(str(source), tmp_path / "m", weights="move")
    with pytest.raises(SettingsError, match=r"--out.*llama-3\.1-8b, qwen2\.5-math-1\.5b, qwen2\.5-math-7b"):
        run(str(source), None)


def test_a_folder_with_something_else_stays(source: Path, tmp_path: Path) -> None:
    shutil.copytree(source, tmp_path / "m")
    with pytest.raises(DataError, match="not made by this command"):
        run(str(source), tmp_path / "m")
