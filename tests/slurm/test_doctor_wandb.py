"""What `prefix-rft doctor` says of W&B, before any job is submitted."""

from __future__ import annotations

import pytest

from experiments.commands.doctor import _wandb
from experiments.compose import compose
from slurm.testing.wandb_server import serving
from slurm.testing.wandb_views import FullServer


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Online, with no key anywhere; gives what is found."""
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    def find(url, mode="online"):
        monkeypatch.setenv("WANDB_BASE_URL", url)
        finding = _wandb(compose([f"tracking={mode}"]))
        return finding.good, finding.said

    return find


def test_offline_needs_nothing(asked):
    assert asked("http://127.0.0.1:1", "offline") == (True, "offline: no connection is needed")


def test_a_server_that_is_not_there(asked):
    good, said = asked("http://127.0.0.1:1")
    assert (good, "127.0.0.1 is not reached" in said) == (False, True)


def test_a_key_is_looked_for_and_not_shown(asked, monkeypatch, tmp_path):
    with serving(FullServer()) as server:
        assert asked(server.url)[0] is False
        assert "there is no key: export WANDB_API_KEY" in asked(server.url)[1]
        (tmp_path / "netrc").write_text("machine 127.0.0.1\n  login user\n  password hidden\n")
        (tmp_path / "netrc").chmod(0o600)
        good, said = asked(server.url)
        assert (good, "hidden" in said) == (True, False)
        (tmp_path / "netrc").unlink()
        monkeypatch.setenv("WANDB_API_KEY", "hidden")
        good, said = asked(server.url)
        assert (good, "hidden" in said) == (True, False)
