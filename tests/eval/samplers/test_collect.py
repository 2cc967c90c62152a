"""Samples that come one by one reach the disk in parts; those that do not come are named, and asked for next time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import eval.collect
from eval.evaluate import evaluate
from eval.prompts import Prompt
from eval.protocol import ProtocolError
from eval.sampler import Decoding, Lost, Response, SamplingError
from eval.samples import SAMPLES, read_rows, samples_path


@dataclass
class Streaming:
    """Answers by the key alone, last row first; rows of some questions get lost."""

    batch: int = 4
    name: str = "keyed"
    version: str = "keyed 1"
    subject: str = "run 0123456789ab step 60"
    loses: frozenset[str] = frozenset()
    ends_after: int | None = None
    """Rows after which `fault` comes."""
    fault: BaseException = field(default_factory=lambda: SamplingError("the server refuses"))
    asked: list[str] = field(default_factory=list)

    def sample(
        self, prompts: Sequence[Prompt], key_B: NDArray[np.uint64], decoding: Decoding
    ) -> list[Response]:
        raise AssertionError("a stream is asked for where there is one")

    def stream(
        self, prompts: Sequence[Prompt], key_B: NDArray[np.uint64], decoding: Decoding
    ) -> Generator[tuple[int, Response | Lost], None, None]:
        for count, row in enumerate(reversed(range(len(prompts)))):
            if count == self.ends_after:
                raise self.fault
            self.asked.append(prompts[row].id)
            lost = prompts[row].id in self.loses
            yield row, Lost("status 500") if lost else Response(f"#{int(key_B[row]) % 4}$", 3, True)


def digests(folder: Path) -> dict[str, str]:
    names = ("protocol.json", "samples.parquet", "scores.json", "verdicts.parquet")
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def parts(folder: Path) -> list[int]:
    """Rows in each part, in the order written."""
    paths = sorted((folder / "samples.parts").iterdir())
    return [sum(len(rows) for rows in read_rows(path, SAMPLES)) for path in paths]


def test_rows_are_sorted_whatever_order_they_came_in(case: Any, tmp_path: Path) -> None:
    case.sampler = Streaming()
    evaluate(tmp_path, **case.arguments())
    found = [row for rows in read_rows(samples_path(tmp_path), SAMPLES) for row in rows]
    assert [(row.question_id, row.sample) for row in found] == [
        (f"q{i}", s) for i in range(5) for s in range(4)
    ]
    assert all(row.response == f"#{row.key % 4}$" for row in found)


def test_progress_is_told_after_every_part(case: Any, tmp_path: Path) -> None:
    case.sampler = Streaming(batch=8)
    told: list[tuple[str, int, int]] = []
    evaluate(tmp_path, **case.arguments(), progress=lambda *args: told.append(args))
    assert told[:3] == [("sampling", 2, 5), ("sampling", 4, 5), ("sampling", 5, 5)]


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), SamplingError("gone"), RuntimeError("a bug")])
def test_what_came_before_an_end_is_kept(case: Any, tmp_path: Path, fault: BaseException) -> None:
    case.sampler = Streaming()
    evaluate(tmp_path / "whole", **case.arguments())
    case.sampler = Streaming(ends_after=10, fault=fault)
    with pytest.raises(type(fault)):
        evaluate(tmp_path / "cut", **case.arguments())
    assert parts(tmp_path / "cut") == [4, 4, 2]
    case.sampler = Streaming()
    evaluate(tmp_path / "cut", **case.arguments())
    assert len(case.sampler.asked) == 10
    assert digests(tmp_path / "whole") == digests(tmp_path / "cut")


def test_slow_rows_do_not_wait_for_a_full_part(
    case: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eval.collect, "PART_SECONDS", 0.0)
    case.sampler = Streaming(batch=1000, ends_after=3, fault=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        evaluate(tmp_path, **case.arguments())
    assert parts(tmp_path) == [1, 1, 1]


def test_lost_samples_are_counted_and_the_next_step_is_named(case: Any, tmp_path: Path) -> None:
    case.sampler = Streaming()
    evaluate(tmp_path / "whole", **case.arguments())
    case.sampler = Streaming(loses=frozenset({"q1", "q3"}))
    with pytest.raises(SamplingError) as caught:
        evaluate(tmp_path / "cut", **case.arguments(), again="Run `prefix-rft eval model=m` again")
    assert str(caught.value) == (
        f"8 of 20 samples are missing; the others are kept in {tmp_path / 'cut'}.\n"
        "sample 0 of 'q1': status 500\n"
        "Run `prefix-rft eval model=m` again: it asks for the missing ones alone, with the seeds they would have had."
    )
    assert not samples_path(tmp_path / "cut").exists()
    assert not (tmp_path / "cut" / "scores.json").exists()
    case.sampler = Streaming()
    evaluate(tmp_path / "cut", **case.arguments())
    assert sorted(case.sampler.asked) == ["q1"] * 4 + ["q3"] * 4
    assert digests(tmp_path / "whole") == digests(tmp_path / "cut")


def test_a_refusal_says_how_many_are_missing(case: Any, tmp_path: Path) -> None:
    case.sampler = Streaming(ends_after=3)
    with pytest.raises(SamplingError, match=r"17 of 20 samples are missing(.|\n)*the server refuses"):
        evaluate(tmp_path, **case.arguments())
    case.sampler = Streaming(version="keyed 2")
    with pytest.raises(ProtocolError, match="sampler_version: 'keyed 1' and 'keyed 2'"):
        evaluate(tmp_path, **case.arguments())


def test_an_evaluation_of_a_server_that_fails_half_way(
    case: Any, faults: Any, server: Any, connect: Callable[..., Any], tmp_path: Path
) -> None:
    case.sampler = connect(batch=3)
    evaluate(tmp_path / "whole", **case.arguments())
    server.heard.clear()
    server.faults = [faults.drop(times=1000)]
    seen = {"posts": 0}

    def later(body: dict[str, Any]) -> bool:
        seen["posts"] += 1
        return seen["posts"] > 9

    server.faults[0].only = later
    case.sampler = connect(batch=3, retries=0)
    with pytest.raises(SamplingError, match=r"11 of 20 samples are missing"):
        evaluate(tmp_path / "cut", **case.arguments())
    server.heard.clear()
    server.faults = []
    evaluate(tmp_path / "cut", **case.arguments())
    # A request that was given up may still be heard: the seeds tell, not the number.
    assert len({body["seed"] for body in server.asked}) == 11
    assert digests(tmp_path / "whole") == digests(tmp_path / "cut")
