"""Rows as they come: atomic parts that outlive a kill, and one sorted file at the end."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Generic

from eval.arrow import array_of
from eval.samples import (
    NAMES,
    ROW_GROUP,
    Kind,
    Pair,
    Row,
    count_rows,
    pairs_of,
    read_table,
    write_rows,
    write_tables,
)
from prefix_rft.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa


class Shelf(Generic[Row]):
    """`<folder>/<kind>.parquet` once all rows are there, `<folder>/<kind>.parts/` until then."""

    def __init__(self, folder: Path, kind: Kind[Row]) -> None:
        self.kind: Kind[Row] = kind
        self.path = folder / f"{kind.name}.parquet"
        self.parts_folder = folder / f"{kind.name}.parts"

    @property
    def finished(self) -> bool:
        """Whether all rows are in their final file."""
        return self.path.exists()

    def parts(self) -> list[Path]:
        """Files of rows that wait for the others, oldest first."""
        return sorted(self.parts_folder.glob("part-*.parquet"), key=_number)

    def add(self, rows: Sequence[Row]) -> None:
        """Put rows on the disk as one part.

        Raises:
            RunError: the disk is full or refuses; the parts before it are still there.
        """
        self.parts_folder.mkdir(parents=True, exist_ok=True)
        parts = self.parts()
        number = _number(parts[-1]) + 1 if parts else 0
        write_rows(self.parts_folder / f"part-{number:05d}.parquet", self.kind, rows)

    def pairs(self, expected: Iterable[Pair]) -> set[Pair]:
        """What the parts hold, each part checked whole.

        Raises:
            DataError: a part is damaged, or holds a row that is not expected or that another part holds.
        """
        wanted = set(expected)
        held: set[Pair] = set()
        for path in self.parts():
            for pair in pairs_of(read_table(path, self.kind)):
                if pair not in wanted or pair in held:
                    fault = "twice" if pair in held else "though it is not asked for"
                    raise DataError(
                        f"{path} holds sample {pair[1]} of question {pair[0]!r} {fault}; "
                        f"delete the file: {self.kind.remade}."
                    )
                held.add(pair)
        return held

    def finish(self, order: Sequence[Pair]) -> None:
        """Write the final file in this order, a row group at a time, and remove the parts.

        Raises:
            DataError: a part is damaged, or the parts do not hold exactly the pairs of `order`.
            RunError: the disk is full or refuses; the parts are still there.
        """
        parts = self.parts()
        place = {
            pair: (part, row)
            for part, path in enumerate(parts)
            for row, pair in enumerate(pairs_of(read_table(path, self.kind, NAMES)))
        }
        if place.keys() != set(order) or sum(count_rows(path, self.kind) for path in parts) != len(order):
            raise DataError(f"{self.parts_folder} does not hold the {len(order)} rows it should, each once.")
        groups = (order[start : start + ROW_GROUP] for start in range(0, len(order), ROW_GROUP))
        write_tables(
            self.path, self.kind, (self._gathered([place[pair] for pair in group], parts) for group in groups)
        )
        self.clear_parts()

    def _gathered(self, places: Sequence[tuple[int, int]], parts: Sequence[Path]) -> pa.Table:
        """The rows at these places, (part, row) each, in this order; a part is read once."""
        import pyarrow as pa

        rows_of: dict[int, list[int]] = {}
        for part, row in places:
            rows_of.setdefault(part, []).append(row)
        tables = [
            read_table(parts[part], self.kind).take(array_of(rows, "int64")) for part, rows in rows_of.items()
        ]
        found = ((part, row) for part, rows in rows_of.items() for row in rows)
        index = {place: number for number, place in enumerate(found)}
        return pa.concat_tables(tables).take(array_of([index[place] for place in places], "int64"))

    def must_hold(self, rows: int) -> None:
        """Make sure that the final file is whole, and tidy away parts that a kill left beside it.

        Raises:
            DataError: the file is damaged or holds another number of rows.
        """
        found = count_rows(self.path, self.kind)
        if found != rows:
            raise DataError(
                f"{self.path} holds {found} rows, not {rows}. Delete that file and run again: "
                f"{self.kind.remade}."
            )
        self.clear_parts()

    def clear_parts(self) -> None:
        """Remove the parts; they are of no use once the final file exists."""
        if self.parts_folder.exists():
            shutil.rmtree(self.parts_folder)

    def discard(self) -> None:
        """Remove everything."""
        self.path.unlink(missing_ok=True)
        self.clear_parts()


def _number(part: Path) -> int:
    """Its place among the parts; names beyond the hundred thousandth no longer sort as texts."""
    return int(part.stem.removeprefix("part-"))
