"""Writes the tables of docs/benchmarks.md from the files of results: python -m benchmarks.page.

A table stands between `<!-- measured NAME -->` and `<!-- end of NAME -->`; prose around it is kept. Shown is the newest
measurement of each benchmark on each machine. `targets` is the table of every ratio that has a target.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.__main__ import NAMES, module
from benchmarks.measured import RESULTS, Measured, Ratio, results
from prefix_rft.runs.atomic import write_text

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
TARGETS = "targets"
_DIGITS_OF_A_COMMIT = 12


class PageError(Exception):
    """The page has not the markers that it must have."""


@dataclass(frozen=True)
class Taken:
    """One benchmark's newest measurement on one machine."""

    name: str
    file: str
    date: str
    machine: dict[str, Any]
    versions: dict[str, str | None]
    part: dict[str, Any]

    @property
    def ratios(self) -> list[Ratio]:
        """As the benchmark found them."""
        return [
            Ratio(**{key: value for key, value in ratio.items() if key != "met"})
            for ratio in self.part["ratios"]
        ]

    @property
    def where(self) -> str:
        """The machine in words."""
        parts = [
            self.machine["processor"], f"{self.machine['cores']} cores", f"{self.machine['memory_gb']} GB",
            self.machine["accelerator"],
        ]  # fmt: skip
        return ", ".join(part for part in parts if part)


def newest(files: Sequence[dict[str, Any]]) -> list[Taken]:
    """Of each benchmark on each machine, in the order of the benchmarks."""
    found: dict[tuple[str, str], Taken] = {}
    for file in files:
        for name, part in file["benchmarks"].items():
            if part["asked"].get("small"):
                continue
            taken = Taken(name, file["file"], file["date"], file["machine"], file["versions"], part)
            key = name, taken.where
            if key not in found or found[key].part["time"] <= part["time"]:
                found[key] = taken
    return sorted(found.values(), key=lambda taken: (NAMES.index(taken.name), taken.where))


def written(text: str, measurements: Sequence[Taken]) -> str:
    """The page with every table as these measurements say.

    Raises:
        PageError: markers are missing, doubled or crossed.
    """
    blocks = {TARGETS: targets(measurements)}
    for name in NAMES:
        of_name = [taken for taken in measurements if taken.name == name]
        blocks[name] = "\n\n".join(map(section, of_name)) or absent(name)
    for name, block in blocks.items():
        text = _replaced(text, name, block)
    return text


def _replaced(text: str, name: str, block: str) -> str:
    begin, end = f"<!-- measured {name} -->", f"<!-- end of {name} -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise PageError(f"docs/benchmarks.md must hold `{begin}` and, after it, `{end}`, each once")
    before, after = text.partition(begin)[0], text.partition(end)[2]
    return f"{before}{begin}\n{block}\n{end}{after}"


def absent(name: str) -> str:
    """What stands where nothing was measured."""
    return f"Not measured yet: `python -m benchmarks {name}`."


def section(taken: Taken) -> str:
    """One measurement: machine and date, ratios, rows, notes."""
    measured = Measured(taken.part["rows"], taken.ratios, taken.part["notes"])
    rows = f"```text\n{module(taken.name).table(measured)}\n```"
    notes = "\n".join(f"- {note}" for note in measured.notes)
    return "\n\n".join(filter(None, [_heading(taken), ratio_table(taken.ratios), rows, notes]))


def _heading(taken: Taken) -> str:
    commit, _, changes = taken.part["commit"].partition(" ")
    commit = f"{commit[:_DIGITS_OF_A_COMMIT]} {changes}".strip()
    versions = ", ".join(f"{name} {version}" for name, version in taken.versions.items() if version)
    asked = ", ".join(
        f"{key} {_setting(value)}" for key, value in taken.part["asked"].items() if value is not None
    )
    return (
        f"**{taken.date}, {taken.where}** (`benchmarks/results/{taken.file}`); load {taken.part['load']:.2f} at the "
        f"start, {taken.part['seconds']:.0f} s in all.  \nCommit {commit}; {versions}.  \nAsked for: {asked}."
    )


def ratio_table(ratios: Sequence[Ratio]) -> str:
    """The ratios as a table; empty where there are none."""
    if not ratios:
        return ""
    lines = ["| what | at | median | lowest to highest | repetitions | target |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {ratio.what} | {_setting(ratio.setting)} | {number(ratio.median)} | {number(ratio.low)} to "
        f"{number(ratio.high)} | {ratio.repetitions} | {verdict(ratio)} |"
        for ratio in ratios
    ]
    return "\n".join(lines)


def targets(measurements: Sequence[Taken]) -> str:
    """Every ratio that has a target, those that missed it among them."""
    aimed = [(taken, ratio) for taken in measurements for ratio in taken.ratios if ratio.target is not None]
    if not aimed:
        return "Nothing with a target was measured yet."
    lines = ["| benchmark | what | at | median | target | measured |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {taken.name} | {ratio.what} | {_setting(ratio.setting)} | {number(ratio.median)} "
        f"({number(ratio.low)} to {number(ratio.high)}) | {verdict(ratio)} | {taken.date}, {taken.where} |"
        for taken, ratio in aimed
    ]
    return "\n".join(lines)


def verdict(ratio: Ratio) -> str:
    """The target and whether it was reached; a missed one is shown as missed."""
    if ratio.target is None:
        return ""
    bound = "at least" if ratio.better == "higher" else "at most"
    return f"{bound} {number(ratio.target)}: {'reached' if ratio.met else '**missed**'}"


def number(value: float) -> str:
    """Three digits that count, without an exponent."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    digits = next(count for count in range(10) if abs(value) * 10**count >= 100 or count == 9)
    return f"{value:.{digits}f}"


def _setting(value: Any) -> str:
    return ", ".join(_words(value))


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (f"{key} {_setting(item)}" for key, item in value.items())
    elif isinstance(value, list):
        yield " ".join(map(str, value))
    elif isinstance(value, bool):
        yield "yes" if value else "no"
    else:
        yield str(value)


def main() -> None:
    write_text(PAGE, written(PAGE.read_text(encoding="utf-8"), newest(results(RESULTS))))
    print(f"written: {PAGE.name}")


if __name__ == "__main__":
    main()
