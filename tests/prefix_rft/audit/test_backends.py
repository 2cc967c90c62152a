from __future__ import annotations

from pathlib import Path

import pytest

from prefix_rft.audit import backends, installed
from prefix_rft.errors import SettingsError


def test_the_local_backends_are_installed() -> None:
    assert installed()[:2] == ["local", "local_general"]


def test_an_unknown_backend_is_refused_with_the_choices(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"'locl'\. Did you mean 'local'\? Known: local, local_general"):
        backends.make_backend("locl", tmp_path)


def test_a_backend_without_its_modules_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    entry = backends.BACKENDS["local"]
    monkeypatch.setitem(backends.BACKENDS, "far", type(entry)(("no_such_module",), entry.make))
    monkeypatch.setitem(backends.BACKENDS, "near", type(entry)(("json",), lambda folder: folder))
    assert "far" not in installed()
    with pytest.raises(SettingsError, match="'far'"):
        backends.make_backend("far", tmp_path)
    assert backends.make_backend("near", tmp_path) is tmp_path
