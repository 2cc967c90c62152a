"""lighteval's environment: found, refused where it is another one, and never made without consent."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest

from eval.lighteval import environment
from eval.lighteval.environment import LightevalError, find, find_or_make, folder, locked_version, make
from eval.lighteval.run import call, work_folder

ASKING_FOR_VERSION = "#!/bin/sh\necho {version}\n"


def fake(place: Path, version: str | None) -> Path:
    """An environment whose Python answers with a version, or fails."""
    python = place / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(
        "#!/bin/sh\nexit 1\n" if version is None else ASKING_FOR_VERSION.format(version=version)
    )
    python.chmod(0o755)
    return place


def test_the_lock_names_one_version_and_a_torch_of_any_build():
    lock = environment.LOCK.read_text().splitlines()
    assert locked_version() == "0.13.0"
    assert "torch==2.13.0" in lock
    assert [line for line in lock if line.startswith("latex2sympy2-extended")] == [
        "latex2sympy2-extended==1.0.6"
    ]
    assert not [line for line in lock if "nvidia" in line or "+cu" in line]


def test_where_it_is_looked_for(monkeypatch, tmp_path):
    monkeypatch.delenv(environment.VARIABLE, raising=False)
    assert folder() == environment.ROOT / ".venv-lighteval"
    monkeypatch.setenv(environment.VARIABLE, str(tmp_path / "named"))
    assert folder() == tmp_path / "named"
    assert folder(tmp_path / "set") == tmp_path / "set"


def test_an_environment_is_found(tmp_path):
    found = find(fake(tmp_path / "e", "0.13.0"))
    assert (found.version, found.python) == ("0.13.0", tmp_path / "e/bin/python")


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (None, "has no lighteval: it was not made to its end"),
        ("0.9.2", r"has lighteval 0\.9\.2.* speaks to 0\.13\.0"),
    ],
)
def test_another_environment_is_refused_with_the_command(tmp_path, version, message):
    with pytest.raises(LightevalError, match=message) as refused:
        find(fake(tmp_path / "e", version))
    assert f"make lighteval LIGHTEVAL={tmp_path / 'e'}" in str(refused.value)


def test_a_missing_one_is_not_made_without_consent(tmp_path):
    asked = []
    with pytest.raises(LightevalError, match="there is no lighteval environment"):
        find_or_make(tmp_path / "e", lambda question: bool(asked.append(question)), run=pytest.fail)
    assert len(asked) == 1
    assert "2.0 GB" in asked[0]


def test_with_consent_it_is_made_from_the_lock(tmp_path):
    place, ran = tmp_path / "e", []

    def run(command):
        ran.append(list(command))
        if "venv" in command:
            fake(place, "0.13.0")

    assert find_or_make(place, lambda question: True, run).version == "0.13.0"
    python = str(place / "bin/python")
    assert ran[0] == [sys.executable, "-m", "venv", str(place)]
    assert ran[1][:4] == [python, "-m", "pip", "install"]
    assert ran[1][-2:] == ["-r", str(environment.LOCK)]
    assert ran[2] == [python, "-m", "pip", "check"]


def test_an_unfinished_one_is_gone_on_with(tmp_path):
    ran = []
    make(fake(tmp_path / "e", None), ran.append)
    assert [command[2] for command in ran] == ["pip", "pip"]


def test_a_step_that_fails_is_named(tmp_path):
    place = fake(tmp_path / "e", None)
    with pytest.raises(LightevalError, match=r"`.*pip install.*` ended with 1"):
        make(place)


def test_no_lock_no_environment(monkeypatch, tmp_path):
    monkeypatch.setattr(environment, "LOCK", tmp_path / "none.txt")
    with pytest.raises(LightevalError, match="from a checkout"):
        make(tmp_path / "e", pytest.fail)
    with pytest.raises(LightevalError, match="use a checkout"):
        locked_version()


def test_nothing_of_our_python_reaches_lighteval(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("PREFIX_RFT_SAMPLES", "/old")
    place = fake(tmp_path / "e", "0.13.0")
    (place / "bin/python").write_text("#!/bin/sh\nenv\n")
    call(environment.Environment(place / "bin/python", "0.13.0"), [], tmp_path, {"PREFIX_RFT_PROTOCOL": "{}"})
    seen = dict(
        line.split("=", 1) for line in (tmp_path / "lighteval.log").read_text().splitlines() if "=" in line
    )
    assert "PYTHONPATH" not in seen
    assert "PREFIX_RFT_SAMPLES" not in seen
    assert (seen["PREFIX_RFT_PROTOCOL"], seen["HF_HUB_OFFLINE"]) == ("{}", "1")
    assert seen["HF_HOME"] == str(tmp_path / "hub")
    assert seen["PATH"] == os.environ["PATH"]


def test_an_error_of_lighteval_is_shown_and_its_files_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    python = fake(tmp_path / "e", "0.13.0") / "bin/python"
    python.write_text(
        "#!/bin/sh\nfor i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17; do echo line $i; done\nexit 3\n"
    )
    with (
        pytest.raises(LightevalError, match=r"ended with 3; .*lighteval\.log ends in\nline 3\n") as failed,
        work_folder() as place,
    ):
        call(environment.Environment(python, "0.13.0"), [], place, {})
    assert str(failed.value).endswith("line 17")
    assert (place / "lighteval.log").exists()


def test_nothing_is_kept_otherwise(tmp_path):
    with work_folder() as place:
        (place / "file").touch()
    assert not place.exists()
    with work_folder(tmp_path / "kept") as place:
        (place / "file").touch()
    assert (tmp_path / "kept/file").exists()
    with pytest.raises(LightevalError, match="is not empty"), work_folder(tmp_path / "kept"):
        pass
