"""verl starts also where TRL is installed, whose model with a value head it wants to change and cannot find."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from prefix_rft.settings import VerlBackend, parse

pytestmark = [
    pytest.mark.verl,
    pytest.mark.skipif(find_spec("verl") is None, reason="verl is not installed (pip install -e '.[verl]')"),
]

SAYS = "from verl.models.transformers import monkey_patch; print(monkey_patch.is_trl_available())"
VARIABLE = "VERL_USE_EXTERNAL_MODULES"


def says(folder: Path, variables: dict[str, str]) -> str:
    """Whether verl sees TRL, in a process that finds a package of that name."""
    (folder / "trl").mkdir(exist_ok=True)
    (folder / "trl" / "__init__.py").touch()
    asked = os.environ | {"PYTHONPATH": str(folder), "VERL_PLATFORM": "cpu", VARIABLE: ""} | variables
    done = subprocess.run([sys.executable, "-c", SAYS], env=asked, capture_output=True, text=True, check=True)
    return done.stdout.split()[-1]


def test_verl_is_told_that_there_is_no_trl(tmp_path: Path) -> None:
    from prefix_rft.verl_backend.session import environment

    assert says(tmp_path, {}) == "True"
    assert says(tmp_path, environment(parse(VerlBackend, {"kind": "verl"}))) == "False"


def test_what_the_user_lets_verl_import_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefix_rft.verl_backend.session import BESIDE_TRL, environment

    monkeypatch.setenv(VARIABLE, "mine,my.plugin")
    backend = parse(VerlBackend, {"kind": "verl", "plugin": "my.plugin"})
    found = environment(backend)[VARIABLE]
    assert found == f"{BESIDE_TRL},my.plugin,mine"
    monkeypatch.setenv(VARIABLE, found)
    assert environment(backend)[VARIABLE] == found
