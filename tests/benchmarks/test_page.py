"""The page of benchmarks says what the files of results say, and names what was missed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import page
from benchmarks.measured import Ratio, results
from benchmarks.page import PageError, newest, number, ratio_table, section, targets, written

NAMES = ("local_step", "grading")
TEXT = "\n".join(
    f"Prose.\n<!-- measured {name} -->\nold\n<!-- end of {name} -->" for name in ("targets", *NAMES)
)


def ratio(median: float, target: float | None, better: str = "higher") -> dict[str, Any]:
    return {
        "what": "seconds of TRL over ours", "against": "TRL", "setting": {"questions": 16, "skipped": True},
        "median": median, "low": median - 0.5, "high": median + 0.5, "repetitions": 7, "target": target,
        "better": better, "met": None,
    }  # fmt: skip


def file(
    date: str = "2026-02-03", cores: int = 2, hour: int = 8, **parts: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "file": f"{date}-processor-{cores}-cores.json",
        "date": date,
        "machine": {"processor": "Processor", "cores": cores, "memory_gb": 16.0, "accelerator": None, "load": 0.0},
        "versions": {"python": "3.11.7", "trl": None},
        "benchmarks": {
            name: {
                "asked": {"threads": [1, 2], "problems": None, "small": False}, "load": 0.25, "seconds": 61.0,
                "time": f"{date}T{hour:02}:00:00Z", "commit": "0123456789abcdef with changes",
                "rows": [{"wall": 1.5}], "ratios": ratios, "notes": ["TRL was patient."],
            }
            for name, ratios in parts.items()
        },
    }  # fmt: skip


@pytest.fixture(autouse=True)
def two_benchmarks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.node.name != "test_the_page_is_what_the_results_say":
        monkeypatch.setattr(page, "NAMES", NAMES)
        monkeypatch.setattr(
            page, "module", lambda name: SimpleNamespace(table=lambda found: f"{name}: {found.rows}")
        )


def test_the_page_is_what_the_results_say() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    assert written(text, newest(results())) == text, "docs/benchmarks.md is stale: python -m benchmarks.page"


def test_a_table_has_machine_date_ratios_rows_and_notes() -> None:
    (taken,) = newest([file(local_step=[ratio(3.25, 3.0)])])
    assert section(taken).splitlines() == [
        "**2026-02-03, Processor, 2 cores, 16.0 GB** (`benchmarks/results/2026-02-03-processor-2-cores.json`); load "
        "0.25 at the start, 61 s in all.  ",
        "Commit 0123456789ab with changes; python 3.11.7.  ",
        "Asked for: threads 1 2, small no.",
        "",
        "| what | at | median | lowest to highest | repetitions | target |",
        "|---|---|---|---|---|---|",
        "| seconds of TRL over ours | questions 16, skipped yes | 3.25 | 2.75 to 3.75 | 7 | at least 3.00: reached |",
        "",
        "```text",
        "local_step: [{'wall': 1.5}]",
        "```",
        "",
        "- TRL was patient.",
    ]


@pytest.mark.parametrize(
    ("median", "target", "better", "said"),
    [
        (2.9, 3.0, "higher", "at least 3.00: **missed**"),
        (0.9, 1.0, "lower", "at most 1.00: reached"),
        (1.1, 1.0, "lower", "at most 1.00: **missed**"),
        (1.1, None, "lower", ""),
    ],
)
def test_a_missed_target_is_shown_as_missed(
    median: float, target: float | None, better: str, said: str
) -> None:
    (taken,) = newest([file(local_step=[ratio(median, target, better)])])
    assert ratio_table(taken.ratios).splitlines()[2].endswith(f"| 7 | {said} |")
    assert (f"| {said} |" in targets([taken])) is (target is not None)


def test_targets_are_gathered_from_all_benchmarks() -> None:
    measurements = newest([file(local_step=[ratio(2.0, 3.0), ratio(9.0, None)], grading=[ratio(5.0, 4.0)])])
    lines = targets(measurements).splitlines()[2:]
    assert [line.split(" | ")[0] for line in lines] == ["| local_step", "| grading"]
    assert (
        "| 2.00 (1.50 to 2.50) | at least 3.00: **missed** | 2026-02-03, Processor, 2 cores, 16.0 GB |"
        in lines[0]
    )
    assert targets([]) == "Nothing with a target was measured yet."


def test_the_newest_of_every_machine_is_shown_and_no_older_one() -> None:
    files = [
        file("2026-02-03", local_step=[ratio(1.0, None)]),
        file("2026-02-04", local_step=[ratio(2.0, None)]),
        file("2026-02-01", cores=64, local_step=[ratio(3.0, None)]),
        file("2026-02-02", cores=64, grading=[ratio(4.0, None)]),
    ]
    found = [(taken.name, taken.date, taken.ratios[0].median) for taken in newest(files)]
    assert found == [
        ("local_step", "2026-02-04", 2.0),
        ("local_step", "2026-02-01", 3.0),
        ("grading", "2026-02-02", 4.0),
    ]
    assert newest(list(reversed(files))) == newest(files)


def test_prose_is_kept_and_what_was_not_measured_says_how_to() -> None:
    new = written(TEXT, newest([file(local_step=[])]))
    assert new.count("Prose.") == 3
    assert "old" not in new
    assert (
        "<!-- measured grading -->\nNot measured yet: `python -m benchmarks grading`.\n<!-- end of grading -->"
        in new
    )
    assert written(new, newest([file(local_step=[])])) == new


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace("<!-- end of grading -->", ""),
        TEXT.replace("<!-- measured grading -->", ""),
        TEXT + TEXT,
        TEXT.replace("measured grading", "measured nothing"),
    ],
)
def test_markers_that_are_missing_or_doubled_are_refused(text: str) -> None:
    with pytest.raises(PageError, match=r"must hold `<!-- measured \w+ -->`"):
        written(text, [])


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (2.345, "2.35"),
        (23.45, "23.4"),
        (0.0345, "0.0345"),
        (1234.5, "1,234"),
        (0.0, "0"),
        (99.96, "100.0"),
        (-2.0, "-2.00"),
    ],
)
def test_three_digits_that_count(value: float, shown: str) -> None:
    assert number(value) == shown


def test_the_command_writes_the_page_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "benchmarks.md"
    place.write_text(TEXT)
    monkeypatch.setattr(page, "PAGE", place)
    monkeypatch.setattr(page, "results", lambda folder: [file(grading=[ratio(5.0, 4.0)])])
    page.main()
    assert "at least 4.00: reached" in place.read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["benchmarks.md"]
    assert "written: benchmarks.md" in capsys.readouterr().out


def test_a_ratio_survives_the_file() -> None:
    (taken,) = newest([file(local_step=[ratio(2.0, 3.0)])])
    assert taken.ratios == [
        Ratio(
            "seconds of TRL over ours",
            "TRL",
            {"questions": 16, "skipped": True},
            2.0,
            1.5,
            2.5,
            7,
            3.0,
            "higher",
        )
    ]
