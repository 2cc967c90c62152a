"""The batch that is saved where a number is not finite: bounded, whole, readable without a pickle."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from prefix_rft import nonfinite
from prefix_rft.errors import TrainingError
from prefix_rft.nonfinite import Batch, Guard, NonFiniteError, require_finite, save_batch
from prefix_rft.rollout import StepContext

AT = StepContext(seed=0, step=6, total_steps=10)


def batch(rows: int, tokens: int = 4, broken: int | None = None) -> Batch:
    logp_BT = torch.zeros(rows, tokens)
    if broken is not None:
        logp_BT[broken, -1] = math.inf
    return Batch({"row": torch.arange(rows), "logp": logp_BT}, [f"q{row}" for row in range(rows)])


def test_numbers_are_looked_at_by_name() -> None:
    require_finite(loss=torch.tensor([1.0, -3e38]), entropies=None)
    with pytest.raises(NonFiniteError, match=r"^old values not finite \(found -inf in 2 of 3\)$"):
        require_finite(loss=torch.zeros(1), old_values=torch.tensor([0.0, -math.inf, math.nan]))


def test_a_large_batch_is_cut_and_keeps_the_row_that_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nonfinite, "_MOST_BYTES", 3 * (8 + 4 * 4))  # of three rows
    file = save_batch(tmp_path / "nonfinite", "step_7", batch(50, broken=31), {"quantity": "loss"})
    assert load_file(file)["row"].tolist() == [0, 1, 31]
    facts = json.loads(file.with_suffix(".json").read_text())
    assert (facts["rows"], facts["rows_saved"]) == (50, [0, 1, 31])
    assert facts["question_ids"] == ["q0", "q1", "q31"]


def test_no_batch_is_larger_than_16_mib(tmp_path: Path) -> None:
    file = save_batch(tmp_path / "nonfinite", "step_7", batch(40, tokens=1 << 18), {})
    assert load_file(file)["row"].tolist() == list(range(15))
    assert file.stat().st_size < 16 << 20


def test_one_row_stays_however_long_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nonfinite, "_MOST_BYTES", 1)
    assert load_file(save_batch(tmp_path / "nonfinite", "step_7", batch(3, broken=2), {}))[
        "row"
    ].tolist() == [2]


def test_the_newest_four_stay(tmp_path: Path) -> None:
    for step in range(1, 9):
        file = save_batch(tmp_path / "nonfinite", f"step_{step}", batch(2), {})
        os.utime(file, ns=(step, step))
    names = {path.name for path in (tmp_path / "nonfinite").iterdir()}
    assert names == {f"step_{step}.{suffix}" for step in (5, 6, 7, 8) for suffix in ("json", "safetensors")}


def test_ids_may_hold_anything_and_lead_nowhere(tmp_path: Path) -> None:
    strange = Batch({"row": torch.arange(2)}, ["../../x", "a\x1b[31m\u202e\x00"])
    file = save_batch(tmp_path / "nonfinite", "step_7", strange, {})
    text = file.with_suffix(".json").read_text()
    assert json.loads(text)["question_ids"] == ["../../x", "a\x1b[31m\u202e\x00"]
    assert text.isascii()
    assert "\x1b" not in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["nonfinite"]


def test_a_disk_that_refuses_the_batch_does_not_hide_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    error = NonFiniteError("gradient", loss=1.5, norm=math.nan)
    with pytest.raises(
        TrainingError, match=r"mini-batch 2: gradient not finite \(loss 1\.5, norm nan\).*"
    ) as caught:
        Guard(tmp_path).meet(error, AT, 1, batch(2), 1)
    assert "The batch could not be saved (cannot write" in str(caught.value)
    assert "No space left on device" in str(caught.value)
    assert list((tmp_path / "nonfinite").iterdir()) == []


def test_left_out_twice_and_refused_the_third_time(tmp_path: Path) -> None:
    guard, error = Guard(tmp_path, "skip", "optimisation.rl"), NonFiniteError("loss", loss=math.inf)
    for in_a_row in (1, 2):
        guard.meet(error, AT, 0, batch(2), in_a_row)
    with pytest.raises(TrainingError, match="It is the 3rd in a row"):
        guard.meet(error, AT, 0, batch(2), 3)
