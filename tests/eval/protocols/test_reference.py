"""docs/protocols.md says what the registry and the catalogue say."""

from __future__ import annotations

from eval.benchmarks import BENCHMARKS
from eval.protocols import PROTOCOLS
from eval.protocols.reference import PAGE, TABLES, benchmarks, protocols, sources, updated


def test_the_page_is_as_the_code_is() -> None:
    """Write it anew with `python -m eval.protocols.reference`."""
    page = PAGE.read_text(encoding="utf-8")
    for name in TABLES:
        assert page.count(f"<!-- {name} -->\n") == page.count(f"\n<!-- end of {name} -->") == 1
    assert updated(page) == page


def test_a_stale_table_is_written_anew_and_the_rest_stays() -> None:
    page = PAGE.read_text(encoding="utf-8")
    stale = page.replace("| `amc` | AMC | 83 |", "| `amc` | AMC | 84 |")
    assert stale != page
    assert updated(stale) == page


def test_every_benchmark_and_protocol_stands_in_it() -> None:
    table = benchmarks().splitlines()
    assert len(table) == 2 + len(BENCHMARKS)
    assert all(line.count("|") == 9 for line in table)
    for line, item in zip(table[2:], BENCHMARKS.values(), strict=True):
        assert line.startswith(f"| `{item.name}` | {item.title} | {item.problems} | {item.samples} |")
        assert (item.digest or "not known") in line
    assert all(line.count("|") == 2 + len(PROTOCOLS) for line in protocols().splitlines())
    for item in PROTOCOLS.values():
        assert item.source in sources()
        assert all(note in sources() for note in item.notes)
